using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Models;
using Coppice.Training;
using Coppice.Training.Sparse;
using Coppice.Weights;

namespace Coppice.Tests.Training.Sparse;

public sealed class SparseTrainingTests : IDisposable
{
    static readonly TrainingOptions Options = new() { Steps = 24, BatchSize = 3, ContextLength = 8, WarmupSteps = 2, LearningRate = 5e-3 };

    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    static TokenWindows Windows() => new([.. Enumerable.Range(0, 400).Select(i => i * i % 13 + i % 4)], Options.ContextLength, seed: 1);

    static byte[] Bytes(DecoderModel model) => [.. TinyLlama.Parameters(model).OrderBy(part => part.Key).SelectMany(part => part.Value.SelectMany(BitConverter.GetBytes))];

    public static TheoryData<string> Kinds => ["gradual", "movement", "rigl", "l1", "l1 cut at the end", "rows", "columns", "rounds", "ticket"];

    static SparseTraining Pruning(string kind) => kind switch
    {
        "gradual" => new GradualMagnitude { Sparsity = 0.75, Every = 3 },
        "movement" => new Movement { Sparsity = 0.75, Every = 3 },
        "rigl" => new RigL { Sparsity = 0.75, Every = 3 },
        "l1" => new Proximal { Sparsity = 0.75, Strength = 30 },
        "l1 cut at the end" => new Proximal { Sparsity = 0.75, Strength = 0.01 },
        "rows" => new Proximal { Sparsity = 0.75, Strength = 3, Groups = PenaltyGroups.Rows },
        "columns" => new Proximal { Sparsity = 0.75, Strength = 0.01, Groups = PenaltyGroups.Columns },
        "rounds" => new IterativePruning { Sparsity = 0.75, Rounds = 2 },
        _ => new IterativePruning { Sparsity = 0.75, Rounds = 2, Rewind = 1 },
    };

    static IEnumerable<Linear> Products(DecoderModel model) => model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_run_ends_with_every_matrix_at_the_sparsity_and_stored_sparsely(string kind)
    {
        DecoderModel model = TinyLlama.Create();
        TrainingRun.Train(model, Windows(), null, Options with { Pruning = Pruning(kind) }, pool, checkpoint: null);
        Assert.Equal(14, Products(model).Count());
        foreach (Linear layer in Products(model))
        {
            float[] values = layer.Weight.ToDense();
            Assert.Equal(values.Length * 3 / 4, values.Count(value => value == 0));
            if (kind == "rows")
                Assert.Equal(layer.Weight.Rows * 3 / 4, values.Chunk(layer.Weight.Columns).Count(row => row.All(value => value == 0)));
            if (kind == "columns")
                Assert.Equal(layer.Weight.Columns * 3 / 4, Enumerable.Range(0, layer.Weight.Columns).Count(j => values.Where((_, i) => i % layer.Weight.Columns == j).All(value => value == 0)));
        }
        Assert.IsType<DenseWeight>(model.Embedding.Weight);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_cancelled_run_goes_on_to_the_bytes_of_an_undisturbed_one(string kind)
    {
        using TemporaryFolder folder = new();
        TrainingOptions options = Options with { Pruning = Pruning(kind) };
        DecoderModel whole = TinyLlama.Create(), resumed = TinyLlama.Create();
        TrainingRun.Train(whole, Windows(), null, options, pool, checkpoint: null);
        foreach (int step in (int[])[4, 13, 20])
        {
            using CancellationTokenSource cancel = new();
            Assert.Throws<OperationCanceledException>(() => TrainingRun.Train(TinyLlama.Create(), Windows(), null, options, pool, folder["state"], new At(step, cancel.Cancel), cancel: cancel.Token));
        }
        TrainingRun.Train(resumed, Windows(), null, options, pool, folder["state"]);
        Assert.Equal(Bytes(whole), Bytes(resumed));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_step_after_the_first_allocates_next_to_nothing(string kind)
    {
        using WorkerPool alone = new(1);
        Trainer trainer = new(TinyLlama.Create(), Windows(), Options with { Pruning = Pruning(kind) }, alone);
        trainer.Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 1; i < Options.Steps; i++)
            trainer.Step();
        long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(bytes < 10_000, $"{bytes} bytes in {Options.Steps - 1} steps");
    }

    [Fact]
    public void Targets_choose_what_is_pruned()
    {
        DecoderModel model = TinyLlama.Create();
        TrainingRun.Train(model, Windows(), null, Options with { Pruning = new GradualMagnitude { Sparsity = 0.5, Every = 3, Targets = ["*.mlp.*"] } }, pool, checkpoint: null);
        Assert.All(model.Matrices(), part => Assert.Equal(part.Name.Contains(".mlp.", StringComparison.Ordinal) ? 0.5 : 0, part.Layer.Weight.Sparsity()));
    }

    [Fact]
    public void A_gradual_run_on_a_pruned_model_goes_on_from_its_zeros()
    {
        DecoderModel model = PrunedTests.HalfPruned((rows, columns, values) => SparseWeight.From(rows, columns, values));
        float[] before = model.Blocks[0].Attention.Query.Weight.ToDense();
        TrainingRun.Train(model, Windows(), null, Options with { Pruning = new GradualMagnitude { Sparsity = 0.75, Every = 3 } }, pool, checkpoint: null);
        float[] after = model.Blocks[0].Attention.Query.Weight.ToDense();
        Assert.Equal(after.Length * 3 / 4, after.Count(value => value == 0));
        Assert.All(before.Zip(after), pair => Assert.True(pair.First != 0 || pair.Second == 0));
    }

    [Fact]
    public void Movement_lets_what_went_come_back_with_the_value_that_it_had()
    {
        DecoderModel model = TinyLlama.Create();
        Trainer trainer = new(model, Windows(), Options with { Pruning = new Movement { Sparsity = 0.5, Every = 1, End = 1 } }, pool);
        Tensor weights = ((DenseWeight)model.Blocks[0].Attention.Query.Weight).Values;
        float[] held = weights.Data.ToArray();
        int returned = 0;
        for (int step = 0; step < Options.Steps - 1; step++)
        {
            float[] before = weights.Data.ToArray();
            trainer.Step();
            for (int i = 0; i < held.Length; i++)
            {
                if (before[i] == 0 && weights.Data[i] != 0)
                {
                    Assert.Equal(held[i], weights.Data[i], 0.2f);
                    returned++;
                }
                if (weights.Data[i] != 0)
                    held[i] = weights.Data[i];
            }
        }
        Assert.True(returned > 0, "nothing came back");
    }

    [Fact]
    public void A_ticket_starts_again_from_its_early_weights_without_those_that_went()
    {
        DecoderModel model = TinyLlama.Create();
        Trainer trainer = new(model, Windows(), Options with { Pruning = new IterativePruning { Sparsity = 0.5, Rounds = 1, Rewind = 2 } }, pool);
        for (int i = 0; i < 2; i++)
            trainer.Step();
        Dictionary<string, double[]> early = TinyLlama.Parameters(model);
        for (int i = 2; i < 12; i++)
            trainer.Step();
        Dictionary<string, double[]> trained = TinyLlama.Parameters(model);
        trainer.Step(rate: 0);
        Dictionary<string, double[]> ticket = TinyLlama.Parameters(model);
        foreach ((string name, double[] values) in ticket)
            if (name.Contains("_proj", StringComparison.Ordinal))
            {
                HashSet<int> largest = [.. Enumerable.Range(0, values.Length).OrderByDescending(i => Math.Abs(trained[name][i])).Take(values.Length / 2)];
                Assert.Equal(early[name].Select((value, i) => largest.Contains(i) ? value : 0), values);
            }
            else
                Assert.Equal(early[name], values);
    }

    [Fact]
    public void Adapters_and_pruning_do_not_go_together()
    {
        DecoderModel model = TinyLlama.Create();
        Lora.Attach(model, new LoraOptions { Rank = 2 }, seed: 1);
        Assert.Contains("adapters", Assert.Throws<CoppiceException>(() => new Trainer(model, Windows(), Options with { Pruning = new RigL() }, pool)).Message, StringComparison.Ordinal);
    }

    sealed class At(int step, Action act) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress progress)
        {
            if (progress.Step.Step == step)
                act();
        }
    }
}
