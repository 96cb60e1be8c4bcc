using System.Text.Json;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Federation;

/// <summary>The control part of server to client: what to do with the model that follows it. docs/federation.md gives every field.</summary>
sealed record RoundTask(string Format, string Run, int Round, string Client, string Codec, int Seed, int LocalSteps, int FirstStep, int EvaluationWindows,
    LocalTraining Training, JsonElement Model)
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
