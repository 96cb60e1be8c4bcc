using Coppice.Models;

namespace Coppice.Compression.Structured;

/// <summary>What stays of a decoder, by numbers in the model as it was; every list ascends.</summary>
/// <param name="Layers">The layers, each with what stays of it: equally much of all, since a model's files hold one size for them.</param>
/// <param name="Channels">Channels of the residual stream, in all layers.</param>
public sealed record KeptUnits(IReadOnlyList<KeptLayer> Layers, int[] Channels)
{
    /// <summary>Everything.</summary>
    public static KeptUnits All(DecoderModel model) =>
        new([.. model.Blocks.Select((block, i) => new KeptLayer(i, All(block.Attention.KeyValueHeads), All(block.Attention.Heads), [.. Parts(block.FeedForward).Select(part => All(part.Down.Weight.Columns))]))], All(model.Width));

    /// <summary>A block's feed-forward parts: the only one, or each expert and then the one that all tokens take.</summary>
    internal static IReadOnlyList<FeedForward> Parts(ChannelMixer mixer) => mixer switch
    {
        MixtureOfExperts experts => experts.Shared is { } shared ? [.. experts.Experts, shared] : experts.Experts,
        _ => [(FeedForward)mixer],
    };

    static int[] All(int count) => [.. Enumerable.Range(0, count)];
}

/// <summary>What stays of a layer.</summary>
/// <param name="Layer">Which it was.</param>
/// <param name="KeyValueHeads">Heads of keys and values.</param>
/// <param name="Heads">Heads of queries: equally many for each of <paramref name="KeyValueHeads"/>, and none for others.</param>
/// <param name="Neurons">Rows of gate and up of the feed-forward part; in a mixture those of each expert and then of the one that all tokens take.</param>
public sealed record KeptLayer(int Layer, int[] KeyValueHeads, int[] Heads, IReadOnlyList<int[]> Neurons);
