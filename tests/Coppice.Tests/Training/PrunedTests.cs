using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Models;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Tests.Training;

public sealed class PrunedTests : IDisposable
{
    static readonly TrainingOptions Options = new() { Steps = 8, BatchSize = 3, ContextLength = 8, WarmupSteps = 2, LearningRate = 1e-2, WeightDecay = 0.5 };

    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    static TokenWindows Windows() => new([.. Enumerable.Range(0, 400).Select(i => i * i % 13 + i % 4)], Options.ContextLength, seed: 1);

    /// <summary>Of every four neighbours of q_proj and up_proj the first two go; what is left is stored by <paramref name="store"/>.</summary>
    internal static DecoderModel HalfPruned(Func<int, int, float[], Weight> store)
    {
        DecoderModel model = TinyLlama.Create();
        foreach ((string name, MatrixLayer layer) in model.Matrices())
            if (name.EndsWith("q_proj", StringComparison.Ordinal) || name.EndsWith("up_proj", StringComparison.Ordinal))
            {
                float[] values = layer.Weight.ToDense();
                for (int i = 0; i < values.Length; i++)
                    if (i % 4 < 2)
                        values[i] = 0;
                layer.Weight = store(layer.Weight.Rows, layer.Weight.Columns, values);
            }
        return model;
    }

    public static TheoryData<string> Kinds => ["sparse-f16", "2:4-f16", "f16", "f32"];

    static DecoderModel HalfPruned(string kind) => HalfPruned((rows, columns, values) => kind switch
    {
        "sparse-f16" => SparseWeight.From(rows, columns, values),
        "2:4-f16" => TwoFourWeight.From(rows, columns, values),
        "f16" => HalfWeight.From(HalfFormat.Float16, rows, columns, values),
        _ => new DenseWeight(Tensor.From([rows, columns], values)),
    });

    static IEnumerable<float[]> Halved(DecoderModel model) => model.Matrices()
        .Where(part => part.Name.EndsWith("q_proj", StringComparison.Ordinal) || part.Name.EndsWith("up_proj", StringComparison.Ordinal)).Select(part => part.Layer.Weight.ToDense());

    [Theory]
    [MemberData(nameof(Kinds))]
    public void What_is_pruned_stays_0_and_the_rest_trains(string kind)
    {
        DecoderModel model = HalfPruned(kind);
        float[][] before = [.. Halved(model)];
        Assert.Equal((4, 0.5), Pruned.Count(model, ZeroHandling.KeepPruned));
        Trainer trainer = new(model, Windows(), Options, pool);
        for (int i = 0; i < Options.Steps; i++)
            trainer.Step();
        foreach ((float[] start, float[] trained) in before.Zip(Halved(model)))
            for (int i = 0; i < start.Length; i++)
                Assert.True(i % 4 < 2 ? trained[i] == 0 : trained[i] != start[i], $"number {i}: {start[i]} became {trained[i]}");
        foreach ((string name, Tensor state) in trainer.Optimizer.State.Where(part => part.Name.Contains("q_proj", StringComparison.Ordinal)))
            for (int i = 0; i < state.Data.Length; i++)
                Assert.True((i % 4 < 2) == (state.Data[i] == 0), $"{name}[{i}] is {state.Data[i]}");
    }

    [Fact]
    public void With_zeros_that_train_none_stay()
    {
        DecoderModel model = HalfPruned("sparse-f16");
        Trainer trainer = new(model, Windows(), Options with { Zeros = ZeroHandling.Train }, pool);
        trainer.Step();
        Assert.All(Halved(model), values => Assert.DoesNotContain(0f, values));
    }

    [Fact]
    public void A_single_zero_stays_where_all_are_kept_and_trains_where_pruned_matrices_are()
    {
        foreach ((ZeroHandling zeros, bool stays) in new[] { (ZeroHandling.KeepAll, true), (ZeroHandling.KeepPruned, false) })
        {
            DecoderModel model = TinyLlama.Create();
            Tensor values = ((DenseWeight)((FeedForward)model.Blocks[0].FeedForward).Up.Weight).Values;
            values.Data[7] = 0;
            new Trainer(model, Windows(), Options with { Zeros = zeros }, pool).Step();
            Assert.Equal(stays, values.Data[7] == 0);
        }
    }

    [Fact]
    public void Masked_numbers_do_not_lengthen_the_gradient()
    {
        // A step of plain descent at rate 1 is the gradient; with clipping at a small length it has that length, in what trains alone.
        DecoderModel model = HalfPruned("f32");
        Dictionary<string, double[]> before = TinyLlama.Parameters(model);
        new Trainer(model, Windows(), Options with { Optimizer = OptimizerKind.Sgd, GradientClip = 0.01 }, pool).Step(rate: 1);
        double squares = TinyLlama.Parameters(model).Sum(part => part.Value.Zip(before[part.Key], (after, start) => (after - start) * (after - start)).Sum());
        Assert.Equal(0.01, Math.Sqrt(squares), 1e-6);
    }

    [Fact]
    public void A_finished_model_is_stored_sparsely_again()
    {
        foreach (string kind in new[] { "sparse-f16", "2:4-f16", "f16", "f32" })
        {
            DecoderModel model = HalfPruned(kind);
            TrainingRun.Train(model, Windows(), null, Options, pool, checkpoint: null);
            Assert.Equal(["2:4-f16"], model.Matrices().Where(part => part.Name.EndsWith("q_proj", StringComparison.Ordinal)).Select(part => part.Layer.Weight.Kind).Distinct());
            Assert.All(Halved(model), values => Assert.Equal(values.Length / 2, values.Count(value => value == 0)));
        }
    }

    [Theory]
    [InlineData(new float[] { 0, 0, 1, 2, 3, 0, 0, 4 }, "2:4-f16")]
    [InlineData(new float[] { 0, 0, 0, 1, 2, 3, 0, 4 }, "f16")]
    [InlineData(new float[] { 1, 2, 3, 4, 5, 6, 0, 8 }, "f16")]
    public void The_fewest_bytes_decide_how_a_row_of_eight_is_stored(float[] values, string kind)
    {
        // 2 * 8 bytes as halves; 1 + 2 * 4 as 2:4; 1 + 2 * kept + 8 with a bitmask.
        Weight stored = Pruned.Store(Tensor.From([1, 8], values));
        Assert.Equal(kind, stored.Kind);
        Assert.Equal(values, stored.ToDense());
    }

    [Fact]
    public void Long_rows_of_zeros_anywhere_are_stored_by_bitmask()
    {
        float[] values = [.. Enumerable.Range(0, 64).Select(i => i < 32 ? i + 1f : 0f)];
        Weight stored = Pruned.Store(Tensor.From([1, 64], values));
        Assert.Equal(("sparse-f16", 8 + 64 + 8L), (stored.Kind, stored.ByteCount));
        Assert.Equal(values, stored.ToDense());
    }

    [Fact]
    public void A_step_with_masks_allocates_next_to_nothing()
    {
        using WorkerPool alone = new(1);
        Trainer trainer = new(HalfPruned("sparse-f16"), Windows(), Options, alone);
        trainer.Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 5; i++)
            trainer.Step();
        long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(bytes < 10_000, $"{bytes} bytes in five steps");
    }
}
