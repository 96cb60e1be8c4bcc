using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Training.Sparse;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>Trains the model for a while after a step took something from it: all of its numbers, or changes of low rank (Hu et al. 2021), on text or on the base model's outputs too (Hinton et al. 2015). What is pruned stays pruned.</summary>
public sealed record FineTune : ModelStep
{
    /// <inheritdoc/>
    public override string Key => "fineTune";

    /// <inheritdoc/>
    public override bool NeedsText => true;

    /// <summary>Tokens of text, gone through once: from the calibration text, in an order that the run's seed draws.</summary>
    public int Tokens { get; init; } = 500_000;

    /// <summary>Sequences of a step.</summary>
    public int BatchSize { get; init; } = 8;

    /// <summary>Tokens of a sequence; no more than the model's context.</summary>
    public int ContextLength { get; init; } = 256;

    /// <summary>The highest learning rate; it rises over a tenth of the steps and falls to a tenth as a cosine.</summary>
    public double LearningRate { get; init; } = 2e-4;

    /// <summary>Rank of what is trained beside each matrix and added to it in the end; 0 trains the matrices themselves.</summary>
    public int Lora { get; init; }

    /// <summary>How much of the loss the base model's outputs are, 0 to 1; 0 asks no base. On little text the base tells more than the text does.</summary>
    public double Teacher { get; init; } = 1;

    /// <summary>What logits are divided by where there is a teacher.</summary>
    public double Temperature { get; init; } = 2;

    /// <summary>How it prunes while it trains; null does not. Not with <see cref="Lora"/>.</summary>
    public SparseTraining? Pruning { get; init; }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
    [
        ("tokens", Tokens.ToString(CultureInfo.InvariantCulture)), ("batchSize", BatchSize.ToString(CultureInfo.InvariantCulture)), ("contextLength", ContextLength.ToString(CultureInfo.InvariantCulture)),
        ("learningRate", LearningRate.ToString("R", CultureInfo.InvariantCulture)), ("lora", Lora.ToString(CultureInfo.InvariantCulture)),
        ("teacher", Teacher.ToString("R", CultureInfo.InvariantCulture)), ("temperature", Temperature.ToString("R", CultureInfo.InvariantCulture)),
        .. FineTunePruning.Options(Pruning),
    ];

    internal static FineTune Read(OptionReader options)
    {
        FineTune defaults = new();
        FineTune step = new()
        {
            Tokens = options.Int("tokens", defaults.Tokens, 1, int.MaxValue),
            BatchSize = options.Int("batchSize", defaults.BatchSize, 1, 4096),
            ContextLength = options.Int("contextLength", defaults.ContextLength, 1, 1 << 20),
            LearningRate = options.Between("learningRate", defaults.LearningRate, 0, 1),
            Lora = options.Int("lora", defaults.Lora, 0, 4096),
            Teacher = options.Between("teacher", defaults.Teacher, -1e-9, 1 + 1e-9),
            Temperature = options.Between("temperature", defaults.Temperature, 0, 1000),
            Pruning = FineTunePruning.Read(options),
        };
        return step.Lora == 0 || step.Pruning is null ? step : throw options.Wrong("prune", "nothing beside lora, which leaves the matrices as they are");
    }

    // As few steps as tell one's time.
    internal override (ModelStep Step, double Times) PartOn(Model model)
    {
        int batch = BatchSize * Math.Min(ContextLength, model.ContextLength), steps = Tokens / batch, few = Math.Min(steps, 2);
        return steps <= few ? (this, 1) : (this with { Tokens = few * batch }, (double)steps / few);
    }

    /// <inheritdoc/>
    /// <remarks>The model itself is trained, and given back.</remarks>
    public override Model Apply(ModelWork work)
    {
        Model model = work.Model;
        if (work.Text is null)
            throw new CoppiceException($"{Key}: needs text to train on, and there is none; name some to calibrate on");
        int length = Math.Min(ContextLength, model.ContextLength);
        int[] tokens = [.. work.Text(Tokens).SelectMany(sequence => sequence)];
        int steps = tokens.Length / (BatchSize * length);
        if (steps == 0)
            throw new CoppiceException($"{Key}: {tokens.Length:N0} tokens of text are no batch of {BatchSize} sequences of {length}; use more text or a smaller batchSize");
        foreach ((_, MatrixLayer layer) in model.Matrices())
            if (!layer.Weight.IsInMemory)
                layer.Weight = MatrixLayout.InMemory(layer.Weight);
        int seed = work.Random.Next();
        if (Lora > 0)
            Training.Lora.Attach(model, new LoraOptions { Rank = Lora, Alpha = 2 * Lora }, seed);
        TrainingOptions options = new()
        {
            Steps = steps,
            BatchSize = BatchSize,
            ContextLength = length,
            LearningRate = LearningRate,
            WarmupSteps = Math.Max(1, steps / 10),
            Seed = seed,
            Pruning = Pruning,
            ValidateEvery = 0,
            Distillation = new DistillationOptions { Share = Math.Clamp(Teacher, 0, 1), Temperature = Temperature },
        };
        double? first = null, last = null;
        TrainingRun.Train(model, new TokenWindows(tokens, length, seed), null, options, work.Pool, work.Checkpoint, new Progress(step =>
        {
            first ??= step.Step.Loss;
            last = step.Step.Loss;
            work.Progress?.Report((double)step.Step.Step / step.Steps);
        }), Teacher > 0 ? work.Base?.Invoke() ?? throw new CoppiceException($"{Key}: teacher {Teacher:R} asks the base model, which is not at hand") : null, work.Cancel);
        if (Lora > 0)
            Training.Lora.Merge(model, work.Pool);
        work.Notes.Add(string.Create(CultureInfo.InvariantCulture, $"trained {(Lora > 0 ? $"changes of rank {Lora}" : "all numbers")} for {steps:N0} steps of {BatchSize * length:N0} tokens{(Pruning is null ? "" : $", pruning ({Pruning.Name}) until {100 * Pruning.Sparsity:0.##} % of each matrix is 0")}: loss {first:0.0000} -> {last:0.0000}"));
        return model;
    }

    sealed class Progress(Action<TrainingProgress> tell) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => tell(value);
    }
}
