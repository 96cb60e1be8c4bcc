using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Models;
using Coppice.Training;

namespace Coppice.Tests.Training;

public sealed class TrainingRunTests : IDisposable
{
    static readonly TrainingOptions Options = new()
    {
        Steps = 12,
        BatchSize = 3,
        Accumulation = 2,
        ContextLength = 8,
        WarmupSteps = 3,
        CheckpointEvery = 4,
        LearningRate = 5e-3,
    };

    readonly WorkerPool pool = new(2);
    readonly string folder = Directory.CreateTempSubdirectory("coppice-training-").FullName;

    public void Dispose()
    {
        pool.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    static TokenWindows Windows(int seed = 1) => new([.. Enumerable.Range(0, 400).Select(i => i * i % 13 + i % 4)], Options.ContextLength, seed);

    static byte[] Bytes(DecoderModel model) => [.. TinyLlama.Parameters(model).OrderBy(part => part.Key).SelectMany(part => part.Value.SelectMany(BitConverter.GetBytes))];

    byte[] Undisturbed()
    {
        DecoderModel model = TinyLlama.Create();
        TrainingRun.Train(model, Windows(), null, Options, pool, checkpoint: null);
        return Bytes(model);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(6)]
    [InlineData(11)]
    public void A_cancelled_run_goes_on_to_the_bytes_of_an_undisturbed_one(int steps)
    {
        string checkpoint = Path.Combine(folder, "state.safetensors");
        using CancellationTokenSource cancel = new();
        Assert.Throws<OperationCanceledException>(() =>
            TrainingRun.Train(TinyLlama.Create(), Windows(), null, Options, pool, checkpoint, new At(steps, cancel.Cancel), cancel: cancel.Token));
        DecoderModel model = TinyLlama.Create();
        At first = new(0, () => { });
        TrainingRun.Train(model, Windows(), null, Options, pool, checkpoint, first);
        Assert.Equal(steps + 1, first.FirstStep);
        Assert.Equal(Undisturbed(), Bytes(model));
    }

    [Fact]
    public void A_killed_run_goes_on_from_its_last_checkpoint_to_the_same_bytes()
    {
        string checkpoint = Path.Combine(folder, "state.safetensors");
        // An exception out of a progress report leaves as a killed process does: nothing more is written.
        Assert.Throws<InvalidTimeZoneException>(() =>
            TrainingRun.Train(TinyLlama.Create(), Windows(), null, Options, pool, checkpoint, new At(10, () => throw new InvalidTimeZoneException())));
        DecoderModel model = TinyLlama.Create();
        At first = new(0, () => { });
        TrainingRun.Train(model, Windows(), null, Options, pool, checkpoint, first);
        Assert.Equal(9, first.FirstStep);
        Assert.Equal(Undisturbed(), Bytes(model));
    }

    [Fact]
    public void A_checkpoint_of_another_run_is_refused()
    {
        string checkpoint = Path.Combine(folder, "state.safetensors");
        using CancellationTokenSource cancel = new();
        Assert.Throws<OperationCanceledException>(() =>
            TrainingRun.Train(TinyLlama.Create(), Windows(), null, Options, pool, checkpoint, new At(2, cancel.Cancel), cancel: cancel.Token));
        CoppiceException error = Assert.Throws<CoppiceException>(() =>
            TrainingRun.Train(TinyLlama.Create(), Windows(), null, Options with { LearningRate = 1e-3 }, pool, checkpoint));
        Assert.Contains("another run", error.Message);
        Assert.Contains(checkpoint, error.Message);
    }

    [Fact]
    public void Training_lowers_the_loss()
    {
        DecoderModel model = TinyLlama.Create();
        List<double> losses = [];
        Trainer trainer = new(model, Windows(), Options with { Steps = 60 }, pool);
        for (int i = 0; i < 60; i++)
            losses.Add(trainer.Step().Loss);
        Assert.True(losses[^5..].Average() < losses[..5].Average() - 0.3, $"{losses[..5].Average()} -> {losses[^5..].Average()}");
    }

    [Fact]
    public void Accumulated_batches_equal_one_large_batch()
    {
        DecoderModel split = TinyLlama.Create(), whole = TinyLlama.Create();
        TrainingOptions sgd = Options with { Optimizer = OptimizerKind.Sgd, GradientClip = 0, LearningRate = 0.05 };
        new Trainer(split, Windows(), sgd, pool).Step();
        new Trainer(whole, Windows(), sgd with { BatchSize = 6, Accumulation = 1 }, pool).Step();
        foreach ((double[] a, double[] b) in TinyLlama.Parameters(split).OrderBy(part => part.Key).Zip(TinyLlama.Parameters(whole).OrderBy(part => part.Key), (a, b) => (a.Value, b.Value)))
            for (int i = 0; i < a.Length; i++)
                Assert.Equal(a[i], b[i], 1e-6);
    }

    [Theory]
    [InlineData(HeadKind.Tied)]
    [InlineData(HeadKind.Untied)]
    public void Keeping_block_inputs_alone_trains_to_the_same_bytes_in_less_memory(HeadKind head)
    {
        DecoderModel all = TinyLlama.Create(head, layers: 8), inputs = TinyLlama.Create(head, layers: 8);
        Trainer keepsAll = new(all, Windows(), Options, pool), keepsInputs = new(inputs, Windows(), Options with { Activations = KeptActivations.BlockInputs }, pool);
        for (int i = 0; i < 4; i++)
            Assert.Equal(keepsAll.Step(), keepsInputs.Step());
        Assert.Equal(Bytes(all), Bytes(inputs));
        Assert.True(keepsInputs.ActivationBytes < keepsAll.ActivationBytes / 2, $"{keepsInputs.ActivationBytes} bytes, {keepsAll.ActivationBytes} with all kept");
    }

    [Fact]
    public void Keeping_activations_as_bfloat16_gives_the_same_loss_and_gradients_within_a_hundredth_in_less_memory()
    {
        DecoderModel all = TinyLlama.Create(layers: 8), narrow = TinyLlama.Create(layers: 8);
        TrainingOptions gradients = Options with { Optimizer = OptimizerKind.Sgd, GradientClip = 0 };
        Trainer keepsAll = new(all, Windows(), gradients, pool), keepsNarrow = new(narrow, Windows(), gradients with { Activations = KeptActivations.BFloat16 }, pool);
        Dictionary<string, double[]> before = TinyLlama.Parameters(all);
        Assert.Equal(keepsAll.Step().Loss, keepsNarrow.Step().Loss);
        // Of plain gradient descent a step is the gradient, but for the rate.
        Dictionary<string, double[]> exact = TinyLlama.Parameters(all), rounded = TinyLlama.Parameters(narrow);
        foreach ((string name, double[] start) in before)
        {
            double error = Distance(exact[name], rounded[name]), length = Distance(exact[name], start);
            Assert.True(error < 0.01 * length, $"{name}: a gradient of {length} is off by {error}");
        }
        Assert.Contains(before, part => Distance(exact[part.Key], rounded[part.Key]) > 0);
        Assert.True(keepsNarrow.ActivationBytes < keepsAll.ActivationBytes * 4 / 5, $"{keepsNarrow.ActivationBytes} bytes, {keepsAll.ActivationBytes} with all kept");

        static double Distance(double[] a, double[] b) => Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum());
    }

    [Theory]
    [InlineData(KeptActivations.All)]
    [InlineData(KeptActivations.BFloat16)]
    [InlineData(KeptActivations.BlockInputs)]
    public void A_step_after_the_first_allocates_next_to_nothing(KeptActivations activations)
    {
        // One thread, so that all of it is counted here, whatever other tests do meanwhile.
        using WorkerPool alone = new(1);
        Trainer trainer = new(TinyLlama.Create(), Windows(), Options with { Activations = activations }, alone);
        trainer.Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 5; i++)
            trainer.Step();
        long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(bytes < 10_000, $"{bytes} bytes in five steps");
    }

    [Fact]
    public void A_loss_that_is_not_finite_stops_the_run_in_one_line()
    {
        DecoderModel model = TinyLlama.Create();
        model.FinalNorm.Vectors.First().Vector.Data[0] = float.NaN;
        CoppiceException error = Assert.Throws<CoppiceException>(() => TrainingRun.Train(model, Windows(), null, Options, pool, checkpoint: null));
        Assert.Contains("step 1 has loss NaN", error.Message);
    }

    [Fact]
    public void The_rate_rises_in_a_line_and_falls_as_a_cosine()
    {
        TrainingOptions options = new() { Steps = 110, WarmupSteps = 10, LearningRate = 2, FinalRateShare = 0.1 };
        Assert.Equal(0.2, options.RateAt(0), 1e-12);
        Assert.Equal(2, options.RateAt(9), 1e-12);
        Assert.Equal(2, options.RateAt(10), 1e-12);
        Assert.Equal(1.1, options.RateAt(60), 1e-12);
        Assert.Equal(0.2, options.RateAt(110), 1e-12);
    }

    sealed class At(int step, Action act) : IProgress<TrainingProgress>
    {
        public int FirstStep { get; private set; }

        public void Report(TrainingProgress progress)
        {
            if (FirstStep == 0)
                FirstStep = progress.Step.Step;
            if (progress.Step.Step == step)
                act();
        }
    }
}
