using System.Text.Json;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Federation;

/// <summary>The control part of server to client: what to do with the model that follows it. docs/federation.md gives every field.</summary>
sealed record RoundTask(string Format, string Run, int Round, string Client, string Codec, int Seed, int LocalSteps, int FirstStep, int EvaluationWindows,
    LocalTraining Training, LocalRules Rules, JsonElement Model)
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
        return task;
    }

    /// <summary>The sizes of the model that follows.</summary>
    public DecoderConfig ReadConfig(string name) => DecoderFolder.ReadConfig(new JsonFields(name, Model));

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
sealed record LocalRules(double Proximal, bool Control, double Clip, double Noise, string[] Personal)
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
    int WarmupSteps, double WeightDecay, double Beta1, double Beta2, double GradientClip, int Seed)
{
    public static LocalTraining Of(TrainingOptions o) => new(o.Optimizer, o.Steps, o.BatchSize, o.Accumulation, o.ContextLength, o.LearningRate, o.FinalRateShare,
        o.WarmupSteps, o.WeightDecay, o.Beta1, o.Beta2, o.GradientClip, o.Seed);

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
    };
}
