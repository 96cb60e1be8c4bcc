using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>A step that trains the model for a while, on text or on the base model's outputs too (Hinton et al. 2015). What is pruned stays pruned.</summary>
public abstract record TrainingStep : ModelStep
{
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

    /// <summary>How much of the loss the base model's outputs are, 0 to 1; 0 asks no base. On little text the base tells more than the text does.</summary>
    public double Teacher { get; init; } = 1;

    /// <summary>What logits are divided by where there is a teacher.</summary>
    public double Temperature { get; init; } = 2;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
    [
        ("tokens", Number(Tokens)), ("batchSize", Number(BatchSize)), ("contextLength", Number(ContextLength)), ("learningRate", Number(LearningRate)), .. Method,
        ("teacher", Number(Teacher)), ("temperature", Number(Temperature)),
    ];

    /// <summary>The options of its method.</summary>
    private protected abstract IEnumerable<(string Name, string Value)> Method { get; }

    /// <summary>What is done before training; the seed is the run's.</summary>
    private protected virtual void Prepare(Model model, int seed)
    {
    }

    /// <summary>How it trains; what is set already counts.</summary>
    private protected virtual TrainingOptions With(Model model, TrainingOptions options) => options;

    /// <summary>What is done after training.</summary>
    /// <returns>What was trained, and how, in a few words.</returns>
    private protected abstract (string What, string How) Finish(Model model, WorkerPool pool);

    /// <summary>The step with the options that steps of this kind share.</summary>
    private protected static T Read<T>(OptionReader options, T step) where T : TrainingStep => step with
    {
        Tokens = options.Int("tokens", step.Tokens, 1, int.MaxValue),
        BatchSize = options.Int("batchSize", step.BatchSize, 1, 4096),
        ContextLength = options.Int("contextLength", step.ContextLength, 1, 1 << 20),
        LearningRate = options.Between("learningRate", step.LearningRate, 0, 1),
        Teacher = options.Between("teacher", step.Teacher, -1e-9, 1 + 1e-9),
        Temperature = options.Between("temperature", step.Temperature, 0, 1000),
    };

    private protected static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

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
        if (work.Text is null && work.Holders is null)
            throw new CoppiceException($"{Key}: needs text to train on, and there is none; name some to calibrate on");
        int length = Math.Min(ContextLength, model.ContextLength);
        int[] tokens = work.Holders is null ? [.. work.Text!(Tokens).SelectMany(sequence => sequence)] : [];
        int steps = (work.Holders is null ? tokens.Length : Tokens) / (BatchSize * length);
        if (steps == 0)
            throw new CoppiceException($"{Key}: {(work.Holders is null ? tokens.Length : Tokens):N0} tokens of text are no batch of {BatchSize} sequences of {length}; use more text or a smaller batchSize");
        foreach ((_, MatrixLayer layer) in model.Matrices())
            if (!layer.Weight.IsInMemory)
                layer.Weight = MatrixLayout.InMemory(layer.Weight);
        int seed = work.Random.Next();
        Prepare(model, seed);
        TrainingOptions options = With(model, new TrainingOptions
        {
            Steps = steps,
            BatchSize = BatchSize,
            ContextLength = length,
            LearningRate = LearningRate,
            WarmupSteps = Math.Max(1, steps / 10),
            Seed = seed,
            ValidateEvery = 0,
            Distillation = new DistillationOptions { Share = Math.Clamp(Teacher, 0, 1), Temperature = Temperature },
        });
        Model? teacher = Teacher > 0 ? work.Base?.Invoke() ?? throw new CoppiceException($"{Key}: teacher {Teacher:R} asks the base model, which is not at hand") : null;
        double? first = null, last = null;
        string where = "";
        if (work.Holders is { } holders)
            (first, last, where) = holders.Train(model, options, Tokens, teacher, work.Progress, work.Cancel);
        else
            TrainingRun.Train(model, new TokenWindows(tokens, length, seed), null, options, work.Pool, work.Checkpoint, new Progress(step =>
            {
                first ??= step.Step.Loss;
                last = step.Step.Loss;
                work.Progress?.Report((double)step.Step.Step / step.Steps);
            }), teacher, work.Cancel);
        (string what, string how) = Finish(model, work.Pool);
        work.Notes.Add(string.Create(CultureInfo.InvariantCulture, $"trained {what} for {(where.Length > 0 ? where : $"{steps:N0} steps")} of {BatchSize * length:N0} tokens{how}: loss {first:0.0000} -> {last:0.0000}"));
        return model;
    }

    sealed class Progress(Action<TrainingProgress> tell) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => tell(value);
    }
}
