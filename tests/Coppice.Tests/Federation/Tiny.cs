using Coppice.Federation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Tests.Federation;

/// <summary>A model of some thousand numbers, and clients whose texts use different tokens.</summary>
static class Tiny
{
    public const int Vocabulary = 32, Context = 8;

    public static readonly TrainingOptions Training = new() { BatchSize = 2, ContextLength = Context, LearningRate = 1e-2, WarmupSteps = 3, FinalRateShare = 0.1, Seed = 5 };

    public static readonly FederatedOptions Options = new() { Rounds = 3, LocalSteps = 2, Training = Training, EvaluationWindows = 2, Seed = 9 };

    public static DecoderModel Model(int seed = 1) => Initialization.Random(new DecoderConfig
    {
        HiddenSize = 16,
        IntermediateSize = 24,
        LayerCount = 1,
        HeadCount = 2,
        KeyValueHeadCount = 1,
        HeadWidth = 8,
        VocabularySize = Vocabulary,
        ContextLength = Context,
    }, seed);

    public static int[] Text(int client, int length = 200)
    {
        Random random = new(100 + client);
        int[] tokens = new int[length];
        for (int i = 0; i < length; i++)
            tokens[i] = (8 * client + random.Next(12)) % Vocabulary;
        return tokens;
    }

    public static string Name(int client) => $"client-{client}";

    public static IClientChannel[] Channels(WorkerPool pool, int count, RunJournal? journal = null) =>
        [.. Enumerable.Range(0, count).Select(i => new LocalChannel(new Client(Name(i), Text(i, 200 + 40 * i), pool, journal: journal?.ClientFile(Name(i)))))];

    /// <summary>Every number of a model in a fixed order.</summary>
    public static float[] Numbers(Model model) =>
        [.. model.Matrices().SelectMany(part => part.Layer.Weight.ToDense()), .. model.AllVectors().SelectMany(part => part.Vector.Data.ToArray())];
}

/// <summary>A channel that does something of a test's own before or after its client.</summary>
sealed class Tapped(IClientChannel inner, Func<ReadOnlyMemory<byte>, Func<ReadOnlyMemory<byte>>, ReadOnlyMemory<byte>> tap) : IClientChannel
{
    public string Client => inner.Client;

    public ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, CancellationToken cancel) => tap(task, () => inner.Exchange(task, cancel));
}
