using System.Text.Json;
using Coppice.Federation.Voting;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Training.Quantized;

namespace Coppice.Federation;

/// <summary>The control part of server to client: what to do with the model that follows it. docs/federation.md gives every field.</summary>
sealed record RoundTask(string Format, string Run, int Round, string Client, string Codec, int Seed, int LocalSteps, int FirstStep, int EvaluationWindows,
    LocalTraining Training, LocalRules Rules, LocalAdapters? Adapters, LocalTeacher? Teacher, LocalMasks? Masks, JsonElement Model)
{
    public const string CurrentFormat = "coppice.task.1";

    /// <summary>Takes a message apart and checks every field.</summary>
    public static RoundTask Read(string name, ReadOnlyMemory<byte> message, out ReadOnlyMemory<byte> tensors)
    {
        RoundTask task = Message.Read(name, message, FederationJson.Default.RoundTask, out tensors);
        if (task.Format != CurrentFormat)
            throw FormatError.At(name, $"format is '{task.Format}', wanted {CurrentFormat}");
        if (task.Round < 1 || task.LocalSteps < 1 || task.FirstStep < 0 || task.EvaluationWindows < 1)
            throw FormatError.At(name, $"round {task.Round}, localSteps {task.LocalSteps}, firstStep {task.FirstStep}, evaluationWindows {task.EvaluationWindows}; wanted 1, 1, 0, 1 or more");
        task.Rules.Check(name);
        if (task.Adapters is { Names.Length: 0 })
            throw FormatError.At(name, "adapters name no product");
        task.Masks?.Check(name);
        return task;
    }

    /// <summary>The sizes of the model that follows.</summary>
    public DecoderConfig ReadConfig(string name) => DecoderFolder.ReadConfig(new JsonFields(name, Model));

    /// <summary>The sizes of the teacher that follows.</summary>
    public DecoderConfig ReadTeacher(string name) => DecoderFolder.ReadConfig(new JsonFields(name, Teacher!.Model));

    /// <summary>How to train, checked.</summary>
    public TrainingOptions TrainingOptions()
    {
        TrainingOptions options = Training.ToOptions() with { FreezesAdapterInputs = Adapters is { FreezesInputs: true } };
        return Teacher is null ? options : options with { Distillation = new DistillationOptions { Share = Teacher.Share, Temperature = Teacher.Temperature } };
    }

    /// <summary>The fields of Hugging Face's config.json.</summary>
    public static JsonElement WriteConfig(DecoderConfig config, DType type)
    {
        using JsonDocument document = JsonDocument.Parse(DecoderFolder.Config(config, type, bos: null, eos: null).ToJsonString());
        return document.RootElement.Clone();
    }
}

/// <summary>What a client does besides plain training.</summary>
/// <param name="Proximal">mu of the loss' mu/2 |w - received|^2.</param>
/// <param name="Control">Whether gradients are corrected by control variates; the server's are with the model, as <c>control.NAME</c>.</param>
/// <param name="Clip">The 2-norm that the delta is shortened to before it leaves; 0 leaves it.</param>
/// <param name="Noise">Deviation, over <paramref name="Clip"/>, of the noise that is added then.</param>
/// <param name="Personal">Tensors that stay with the client: names, or beginnings of names with a * behind.</param>
/// <param name="Fresh">Whether nothing of earlier rounds counts: the optimizer is new, and windows are in an order of the round's.</param>
sealed record LocalRules(double Proximal, bool Control, double Clip, double Noise, string[] Personal, bool Fresh)
{
    public void Check(string name)
    {
        if (!(Proximal >= 0 && double.IsFinite(Proximal) && Clip >= 0 && double.IsFinite(Clip) && Noise >= 0 && double.IsFinite(Noise)))
            throw FormatError.At(name, $"proximal {Proximal}, clip {Clip}, noise {Noise}; wanted 0 or more each");
        if (Personal.Any(string.IsNullOrEmpty))
            throw FormatError.At(name, "personal holds an empty name");
    }
}

/// <summary>The training options that a task carries, each one written out.</summary>
sealed record LocalTraining(OptimizerKind Optimizer, int Steps, int BatchSize, int Accumulation, int ContextLength, double LearningRate, double FinalRateShare,
    int WarmupSteps, double WeightDecay, double Beta1, double Beta2, double GradientClip, int Seed, ZeroHandling Zeros, double Adversarial, LocalIntegers? Integers)
{
    public static LocalTraining Of(TrainingOptions o) => new(o.Optimizer, o.Steps, o.BatchSize, o.Accumulation, o.ContextLength, o.LearningRate, o.FinalRateShare,
        o.WarmupSteps, o.WeightDecay, o.Beta1, o.Beta2, o.GradientClip, o.Seed, o.Zeros, o.Adversarial, o.Quantization is { } own ? LocalIntegers.Of(own) : null);

    public TrainingOptions ToOptions() => new()
    {
        Optimizer = Optimizer,
        Steps = Steps,
        BatchSize = BatchSize,
        Accumulation = Accumulation,
        ContextLength = ContextLength,
        LearningRate = LearningRate,
        FinalRateShare = FinalRateShare,
        WarmupSteps = WarmupSteps,
        WeightDecay = WeightDecay,
        Beta1 = Beta1,
        Beta2 = Beta2,
        GradientClip = GradientClip,
        Seed = Seed,
        Zeros = Zeros,
        Adversarial = Adversarial,
        Quantization = Integers?.ToOptions(),
    };
}

/// <summary>Matrices that train as integers: their weights come and go as the model's, their steps, each [outputs, groups] over 2 / sqrt(2^(bits - 1) - 1), as <c>NAME.weight.step</c>.</summary>
sealed record LocalIntegers(string[] Matrices, int Bits, int GroupSize, StepStart Start, double Noise, double Jitter)
{
    public static LocalIntegers Of(QuantizedTraining o) => new([.. o.Matrices], o.Bits, o.GroupSize, o.Start, o.Noise, o.Jitter);

    public QuantizedTraining ToOptions() => new() { Matrices = [.. Matrices], Bits = Bits, GroupSize = GroupSize, Start = Start, Noise = Noise, Jitter = Jitter };
}
