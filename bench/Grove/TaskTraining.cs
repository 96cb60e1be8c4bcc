using System.Collections.Immutable;
using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Splits;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;
using Coppice.Training.Quantized;
using Coppice.Training.Sparse;

namespace Coppice.Bench;

/// <summary>Where a model of a task is trained.</summary>
/// <param name="Name">For a row of a table.</param>
/// <param name="Split">How the documents are dealt; null is all in one place.</param>
public sealed record Place(string Name, string? Split);

/// <summary>What a model is while it trains.</summary>
public enum Way
{
    /// <summary>Floats.</summary>
    Plain,

    /// <summary>Its blocks' matrices are rounded to 4 bits from the first step on.</summary>
    Integers,

    /// <summary>Half of its blocks' matrices goes on the way; of clients', as they vote.</summary>
    Pruned,
}

/// <summary>A model that a task trained.</summary>
/// <param name="Model">As it is stored.</param>
/// <param name="Clients">Clients; 0 in one place.</param>
/// <param name="TokenDivergence">The mean Jensen-Shannon divergence of two clients' tokens, bits.</param>
/// <param name="LabelDivergence">The same of their labels, where the split looks at them.</param>
/// <param name="Megabytes">Sent up by a client over the run.</param>
public sealed record Trained(DecoderModel Model, int Clients, double TokenDivergence, double? LabelDivergence, double Megabytes);

/// <summary>Trains a task's model in one place or with clients, always from the same weights and for as many steps and tokens.</summary>
/// <param name="task">What.</param>
/// <param name="options">How, in rounds; the seed decides weights, order, deal and draw of clients.</param>
/// <param name="pool">Threads.</param>
public sealed class TaskTraining(FederationTask task, FederatedOptions options, WorkerPool pool)
{
    readonly int perRound = Math.Min(options.ClientsPerRound, SplitCorpus.Deal("train", task.Train, SplitRegistry.Find(task.Splits.Equal), options.Seed, 0).Clients.Count);

    /// <summary>How matrices train as integers: the grid of preset <c>int4-gptq</c>.</summary>
    public static QuantizedTraining Integers { get; } = new() { Bits = 4, GroupSize = 32 };

    /// <summary>How half of them goes.</summary>
    public static GradualMagnitude Pruning { get; } = new() { Sparsity = 0.5, Every = 8, End = 0.75 };

    /// <summary>One place, equal clients, different clients.</summary>
    public static IReadOnlyList<Place> Places(FederationTask task) =>
        [new("centralized", null), new($"federated, IID (`{task.Splits.Equal}`)", task.Splits.Equal), new($"federated, non-IID (`{task.Splits.Different}`)", task.Splits.Different)];

    /// <summary>The model before it is trained.</summary>
    public DecoderModel New() => Initialization.Random(task.Config, options.Seed);

    /// <summary>Trains one.</summary>
    public Trained Train(Place place, Way way)
    {
        TrainingOptions training = options.Training with { ContextLength = task.WindowLength, Seed = options.Seed, Quantization = way == Way.Integers ? Integers : null, Pruning = way == Way.Pruned ? Pruning : null };
        return place.Split is null ? InOnePlace(training) : WithClients(SplitRegistry.Find(place.Split), training);
    }

    /// <summary>Runs a recipe over a copy of a model.</summary>
    public DecoderModel Compress(DecoderModel model, string preset, IReadOnlyList<int[]> calibration)
    {
        DecoderModel copy = New();
        ParameterSet.Copy(model).CopyTo(copy);
        return (DecoderModel)new CompressionPipeline(Presets.Get(preset), pool) { Seed = options.Seed }.Run(copy, calibration).Model;
    }

    // A step of as many tokens as a round's clients take in one.
    Trained InOnePlace(TrainingOptions training)
    {
        DecoderModel model = New();
        LabelledDocument[] mixed = [.. task.Train];
        new Random(options.Seed).Shuffle(mixed);
        training = training with { Steps = task.Rounds * options.LocalSteps, BatchSize = training.BatchSize * perRound };
        Trainer trainer = new(model, new TokenWindows(task.Tokens(mixed), task.WindowLength, options.Seed), training, pool);
        while (trainer.Optimizer.StepsTaken < training.Steps)
            trainer.Step();
        trainer.Finish();
        return new Trained(model, 0, 0, null, 0);
    }

    Trained WithClients(ISplit split, TrainingOptions training)
    {
        Dictionary<Document, LabelledDocument> labels = new(task.Train.Select(document => KeyValuePair.Create(document.Document, document)), ReferenceEqualityComparer.Instance);
        SplitCorpus dealt = SplitCorpus.Deal("train", task.Train, split, options.Seed, 0);
        (string Client, int Documents, int[] Tokens)[] texts = [.. dealt.Clients.Select(client => (client.Client, client.Train.Documents.Count, task.Tokens(client.Train.Documents.Select(document => labels[document]))))];
        DecoderModel model = New();
        IClientChannel[] channels = [.. texts.Select(text => new LocalChannel(new Client(text.Client, text.Tokens, pool)))];
        ImmutableArray<RoundRecord> rounds = Simulation.Run(model, channels, options with { Rounds = task.Rounds, ClientsPerRound = perRound, Training = training });
        if (rounds.SelectMany(round => round.Dropped).FirstOrDefault() is { } dropped)
            throw new CoppiceException($"{split.Name}: client '{dropped.Client}' was dropped: {dropped.Reason}");
        return new Trained(model, texts.Length, NonIidReport.Measure(texts, task.Config.VocabularySize).MeanDivergence, dealt.LabelDivergence, rounds.Sum(round => round.BytesUp) / 1e6 / channels.Length);
    }
}
