using System.Text.Json;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Models;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Tests.Training;

public sealed class LoraTests : IDisposable
{
    static readonly TrainingOptions Options = new() { Steps = 6, BatchSize = 3, ContextLength = 8, WarmupSteps = 2, LearningRate = 1e-2 };
    static readonly LoraOptions Small = new() { Rank = 2, Alpha = 3 };
    static readonly int[][] Sequences = [[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5, 8, 9]];

    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    static TokenWindows Windows() => new([.. Enumerable.Range(0, 400).Select(i => i * i % 13 + i % 4)], Options.ContextLength, seed: 1);

    public static TheoryData<string> Bases => ["f32", "f16", "sparse-f16", "int4"];

    /// <summary>A model whose products are stored in some way, with adapters of which neither part is zero.</summary>
    static DecoderModel Adapted(string kind)
    {
        DecoderModel model = kind == "sparse-f16" ? PrunedTests.HalfPruned((rows, columns, values) => SparseWeight.From(rows, columns, values)) : TinyLlama.Create();
        Random random = new(8);
        foreach ((_, MatrixLayer layer) in model.Matrices().Where(part => part.Layer is Linear))
        {
            (int rows, int columns) = (layer.Weight.Rows, layer.Weight.Columns);
            byte[] codes = new byte[rows * columns];
            random.NextBytes(codes);
            if (kind == "f16")
                layer.Weight = HalfWeight.From(HalfFormat.Float16, rows, columns, layer.Weight.ToDense());
            if (kind == "int4")
                layer.Weight = new IntWeight(4, IntWeight.WholeRow, rows, columns, [.. codes.Select(code => (byte)(code & 15))], [.. Enumerable.Repeat((Half)0.05f, rows)], []);
        }
        Lora.Attach(model, Small, seed: 4);
        foreach ((_, Linear layer) in Lora.Adapted(model))
            foreach (ref float value in layer.Adapter!.B.Data)
                value = random.NextSingle() - 0.5f;
        return model;
    }

    /// <summary>The parameters in double with W + scale B A in place of each adapted W.</summary>
    static Dictionary<string, double[]> Effective(Dictionary<string, double[]> parameters, IEnumerable<(string Name, double[] A, double[] B)> adapters, int rank, double scale)
    {
        Dictionary<string, double[]> effective = new(parameters);
        foreach ((string name, double[] a, double[] b) in adapters)
        {
            int inputs = a.Length / rank;
            effective[name + ".weight"] = [.. parameters[name + ".weight"].Select((w, i) => w + scale * Enumerable.Range(0, rank).Sum(r => b[i / inputs * rank + r] * a[r * inputs + i % inputs]))];
        }
        return effective;
    }

    static double[] Doubles(Tensor tensor) => Array.ConvertAll(tensor.Data.ToArray(), value => (double)value);

    [Theory]
    [MemberData(nameof(Bases))]
    public void Gradients_equal_finite_differences_in_double_through_any_base(string kind)
    {
        DecoderModel model = Adapted(kind);
        Dictionary<string, double[]> values = TinyLlama.Parameters(model);
        (string Name, double[] A, double[] B)[] adapters = [.. Lora.Adapted(model).Select(part => (part.Name, Doubles(part.Layer.Adapter!.A), Doubles(part.Layer.Adapter.B)))];
        Assert.Equal(14, adapters.Length);
        IReadOnlyList<Parameter> parameters = Lora.Parameters(model);
        ForwardContext context = new(pool, new Tape());
        Batch batch = new();
        foreach (int[] sequence in Sequences)
            batch.Add(sequence.AsSpan(..^1));
        int[] targets = [.. Sequences.SelectMany(sequence => sequence[1..])];
        Tensor loss = CrossEntropy.Apply(context, model.Forward(batch, context), targets, targets.Length);
        Assert.Equal(Loss(), loss.Data[0], 1e-5);
        context.Tape!.Backward(loss);

        Random random = new(5);
        for (int p = 0; p < parameters.Count; p++)
        {
            double[] value = p % 2 == 0 ? adapters[p / 2].A : adapters[p / 2].B;
            for (int trial = 0; trial < 4; trial++)
            {
                int i = random.Next(value.Length);
                const double Step = 1e-5;
                double kept = value[i];
                value[i] = kept + Step;
                double above = Loss();
                value[i] = kept - Step;
                double below = Loss();
                value[i] = kept;
                double wanted = (above - below) / (2 * Step), found = parameters[p].Tensor.Grad!.Data[i];
                Assert.True(Math.Abs(wanted - found) <= 1e-5 + 1e-3 * Math.Abs(wanted), $"{parameters[p].Name}[{i}]: {found}, finite differences give {wanted}");
            }
        }

        double Loss() => new ReferenceLlama(model.Config, Effective(values, adapters, rank: 2, scale: 1.5)).Loss(Sequences);
    }

    [Fact]
    public void A_new_adapter_changes_nothing_and_training_moves_it_alone()
    {
        DecoderModel model = TinyLlama.Create();
        Batch batch = new(Sequences[0]);
        float[] before = model.Forward(batch, new ForwardContext(pool)).Data.ToArray();
        Dictionary<string, double[]> start = TinyLlama.Parameters(model);
        Lora.Attach(model, Small, seed: 4);
        Assert.Equal(before, model.Forward(batch, new ForwardContext(pool)).Data.ToArray());
        Trainer trainer = new(model, Windows(), Options with { Steps = 40 }, pool);
        double[] losses = [.. Enumerable.Range(0, 40).Select(_ => trainer.Step().Loss)];
        Assert.True(losses[^5..].Average() < losses[..5].Average() - 0.1, $"{losses[..5].Average()} -> {losses[^5..].Average()}");
        Assert.All(TinyLlama.Parameters(model), part => Assert.Equal(start[part.Key], part.Value));
    }

    [Theory]
    [MemberData(nameof(Bases))]
    public void A_merged_model_computes_what_the_adapted_one_did_but_for_pruned_numbers(string kind)
    {
        DecoderModel model = Adapted(kind);
        Dictionary<string, double[]> wanted = Effective(TinyLlama.Parameters(model), Lora.Adapted(model).Select(part => (part.Name, Doubles(part.Layer.Adapter!.A), Doubles(part.Layer.Adapter.B))), rank: 2, scale: 1.5);
        HashSet<string> pruned = [.. model.Matrices().Where(part => part.Layer.Weight is SparseWeight).Select(part => part.Name + ".weight")];
        Batch batch = new(Sequences[0]);
        float[] adapted = model.Forward(batch, new ForwardContext(pool)).Data.ToArray();
        Assert.Equal((14, pruned.Count), Lora.Merge(model, pool));
        Assert.Empty(Lora.Adapted(model));
        foreach ((string name, double[] values) in TinyLlama.Parameters(model))
            for (int i = 0; i < values.Length; i++)
                Assert.Equal(pruned.Contains(name) && i % 4 < 2 ? 0 : wanted[name][i], values[i], pruned.Contains(name) ? 1e-3 : 1e-6);
        if (pruned.Count > 0)
            return;
        float[] merged = model.Forward(batch, new ForwardContext(pool)).Data.ToArray();
        for (int i = 0; i < merged.Length; i++)
            Assert.Equal(adapted[i], merged[i], 1e-4);
    }

    [Fact]
    public void Targets_choose_the_products_and_one_that_names_none_is_refused()
    {
        DecoderModel model = TinyLlama.Create();
        Lora.Attach(model, Small with { Targets = ["*.q_proj", "*.1.*v_proj"] }, seed: 1);
        Assert.Equal(["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"], Lora.Adapted(model).Select(part => part.Name));
        Assert.Contains("'*.query'", Assert.Throws<CoppiceException>(() => Lora.Attach(TinyLlama.Create(), Small with { Targets = ["*.query"] }, 1)).Message, StringComparison.Ordinal);
        Assert.Contains("rank 13", Assert.Throws<CoppiceException>(() => Lora.Attach(TinyLlama.Create(), Small with { Rank = 13 }, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_cancelled_run_goes_on_to_the_same_adapters_and_another_base_is_another_run()
    {
        using TemporaryFolder folder = new();
        DecoderModel whole = Fresh(), resumed = Fresh();
        TrainingRun.Train(whole, Windows(), null, Options, pool, checkpoint: null);
        using CancellationTokenSource cancel = new();
        Assert.Throws<OperationCanceledException>(() => TrainingRun.Train(Fresh(), Windows(), null, Options, pool, folder["state"], new Cancelling(cancel), cancel: cancel.Token));
        DecoderModel other = Fresh();
        ((DenseWeight)other.Blocks[0].Attention.Query.Weight).Values.Data[0] += 1;
        Assert.Contains("another run", Assert.Throws<CoppiceException>(() => TrainingRun.Train(other, Windows(), null, Options, pool, folder["state"])).Message, StringComparison.Ordinal);
        TrainingRun.Train(resumed, Windows(), null, Options, pool, folder["state"]);
        foreach (((_, Linear a), (_, Linear b)) in Lora.Adapted(whole).Zip(Lora.Adapted(resumed)))
            Assert.Equal(a.Adapter!.B.Data.ToArray(), b.Adapter!.B.Data.ToArray());

        static DecoderModel Fresh()
        {
            DecoderModel model = TinyLlama.Create();
            Lora.Attach(model, Small, seed: 4);
            return model;
        }
    }

    [Fact]
    public void An_adapter_folder_has_the_names_and_shapes_that_peft_reads()
    {
        using TemporaryFolder folder = new();
        DecoderModel model = TinyLlama.Create();
        Lora.Attach(model, Small with { Targets = ["*.0.*q_proj", "*.up_proj"] }, seed: 4);
        AdapterFolder.Write(folder["adapter"], model, "some/base");
        using JsonDocument config = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder["adapter"], "adapter_config.json")));
        Assert.Equal("LORA", config.RootElement.GetProperty("peft_type").GetString());
        Assert.Equal("some/base", config.RootElement.GetProperty("base_model_name_or_path").GetString());
        Assert.Equal((2, 3.0), (config.RootElement.GetProperty("r").GetInt32(), config.RootElement.GetProperty("lora_alpha").GetDouble()));
        string[] modules = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"];
        Assert.Equal(modules, config.RootElement.GetProperty("target_modules").EnumerateArray().Select(module => module.GetString()));
        using SafeTensors tensors = SafeTensors.Open(Path.Combine(folder["adapter"], "adapter_model.safetensors"));
        foreach ((string name, Linear layer) in Lora.Adapted(model))
        {
            float[] a = new float[layer.Adapter!.A.Shape.Length];
            tensors.Find($"base_model.model.{name}.lora_A.weight").ReadFloats(0, a);
            Assert.Equal(layer.Adapter.A.Data.ToArray(), a);
            Assert.Equal(new long[] { layer.Weight.Rows, 2 }, tensors.Find($"base_model.model.{name}.lora_B.weight").Shape);
        }
        Assert.Contains("no adapters", Assert.Throws<CoppiceException>(() => AdapterFolder.Write(folder["none"], TinyLlama.Create(), "base")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Bases))]
    public void A_step_after_the_first_allocates_next_to_nothing(string kind)
    {
        using WorkerPool alone = new(1);
        Trainer trainer = new(Adapted(kind), Windows(), Options, alone);
        trainer.Step();
        trainer.Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 5; i++)
            trainer.Step();
        long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(bytes < 10_000, $"{bytes} bytes in five steps");
    }

    sealed class Cancelling(CancellationTokenSource cancel) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress progress)
        {
            if (progress.Step.Step == 3)
                cancel.Cancel();
        }
    }
}
