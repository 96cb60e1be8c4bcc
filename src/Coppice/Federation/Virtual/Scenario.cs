using Coppice.Compression;
using Coppice.Federation.Codecs;
using Coppice.Federation.Strategies;
using Coppice.Tensors;
using Coppice.Training;
using YamlDotNet.RepresentationModel;

namespace Coppice.Federation.Virtual;

/// <summary>A simulated run in a file: its options, and the world that it happens in.</summary>
/// <param name="Options">The run.</param>
/// <param name="World">The world; null where there is none, and nobody is late.</param>
public sealed record Scenario(FederatedOptions Options, World? World)
{
    /// <summary>Reads a YAML file over options that it may leave out.</summary>
    /// <exception cref="CoppiceException">Names the file, the line, what was found and what was wanted.</exception>
    public static Scenario ReadFile(string path, FederatedOptions fallback)
    {
        if (!File.Exists(path))
            throw new CoppiceException($"{path}: no such scenario");
        return Parse(RecipeReader.Text(path), path, fallback);
    }

    /// <summary>Reads a text; <paramref name="source"/> names it in failures.</summary>
    public static Scenario Parse(string text, string source, FederatedOptions fallback)
    {
        YamlNode root = RecipeReader.Load(text, source);
        if (root is not YamlMappingNode top)
            throw RecipeReader.Error(source, root, "a scenario is a mapping");
        OptionReader run = new(source, "scenario", top, top, kind: "part");
        TrainingOptions training = fallback.Training;
        FederatedOptions options = fallback with
        {
            Rounds = run.Int("rounds", fallback.Rounds, 1, int.MaxValue),
            ClientsPerRound = run.Int("clientsPerRound", fallback.ClientsPerRound, 0, int.MaxValue),
            LocalSteps = run.Int("localSteps", fallback.LocalSteps, 1, int.MaxValue),
            Codec = run.Named("codec", fallback.Codec, CodecRegistry.Find),
            Strategy = run.Named("strategy", fallback.Strategy, StrategyRegistry.Find),
            Download = run.Choice("download", fallback.Download, ("float32", DownloadFormat.Float32), ("float16", DownloadFormat.Float16)),
            FreshClients = run.Choice("freshClients", fallback.FreshClients, ("true", true), ("false", false)),
            EvaluationWindows = run.Int("evaluationWindows", fallback.EvaluationWindows, 1, 1 << 20),
            Seed = run.Int("seed", fallback.Seed, 0, int.MaxValue),
            Training = training with
            {
                BatchSize = run.Int("batchSize", training.BatchSize, 1, 4096),
                ContextLength = run.Int("contextLength", training.ContextLength, 1, 1 << 20),
                LearningRate = run.Between("learningRate", training.LearningRate, 0, 100),
                Optimizer = run.Choice("optimizer", training.Optimizer, ("adamw", OptimizerKind.AdamW), ("sgd", OptimizerKind.Sgd)),
            },
        };
        World? world = run.Part("world") is { } part ? ReadWorld(part) : null;
        run.Finish();
        return new Scenario(options, world);
    }

    static World ReadWorld(OptionReader part)
    {
        World usual = new();
        const double Least = -double.Epsilon, Most = double.PositiveInfinity;
        World world = new()
        {
            SecondsPerStep = part.Between("secondsPerStep", usual.SecondsPerStep, 0, Most),
            SpeedSpread = part.Between("speedSpread", usual.SpeedSpread, Least, Most),
            DownloadRate = part.Between("downloadRate", usual.DownloadRate, 0, Most),
            UploadRate = part.Between("uploadRate", usual.UploadRate, 0, Most),
            RateSpread = part.Between("rateSpread", usual.RateSpread, Least, Most),
            Latency = part.Between("latency", usual.Latency, Least, Most),
            Dropout = part.Between("dropout", usual.Dropout, Least, 1),
            Corruption = part.Between("corruption", usual.Corruption, Least, 1),
            OverSelection = part.Between("overSelection", usual.OverSelection, Least, Most),
            Deadline = part.Between("deadline", usual.Deadline, 0, Most),
            Minimum = part.Int("minimum", usual.Minimum, 1, int.MaxValue),
        };
        part.Finish();
        return world;
    }
}
