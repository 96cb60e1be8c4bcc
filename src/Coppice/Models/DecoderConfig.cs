using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>What a decoder is: its sizes, under their names in Hugging Face's config.json, and what its family does otherwise than Llama.</summary>
public sealed record DecoderConfig
{
    const int MostLayers = 4096;

    /// <summary>Width of the hidden states.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width inside the feed-forward part.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Blocks.</summary>
    public required int LayerCount { get; init; }

    /// <summary>Query heads.</summary>
    public required int HeadCount { get; init; }

    /// <summary>Key-value heads; divides <see cref="HeadCount"/>.</summary>
    public required int KeyValueHeadCount { get; init; }

    /// <summary>Numbers a head.</summary>
    public required int HeadWidth { get; init; }

    /// <summary>Token ids.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>The most tokens in a sequence.</summary>
    public required int ContextLength { get; init; }

    /// <summary>The family, by Hugging Face's <c>model_type</c>.</summary>
    public string Family { get; init; } = "llama";

    /// <summary>Base of the rotary frequencies.</summary>
    public float RopeTheta { get; init; } = 10_000;

    /// <summary>What changes the rotary frequencies; not those of layers with <see cref="LocalRopeTheta"/>.</summary>
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>How many numbers of a head are turned; all where null.</summary>
    public int? RotaryWidth { get; init; }

    /// <summary>How a token's place comes into the model.</summary>
    public PositionKind Positions { get; init; }

    /// <summary>Rows of the table of positions before that of the first token.</summary>
    public int FirstPosition { get; init; }

    /// <summary>How many keys a query of a windowed layer sees; all where null.</summary>
    public int? Window { get; init; }

    /// <summary>Every so many layers one sees all keys, the last of each; 0 where every layer has the window.</summary>
    public int WindowPattern { get; init; }

    /// <summary>Base of the rotary frequencies of windowed layers, where it is another.</summary>
    public float? LocalRopeTheta { get; init; }

    /// <summary>The norms' formula.</summary>
    public NormKind Norm { get; init; }

    /// <summary>Where a block's norms stand.</summary>
    public NormPlacement NormPlacement { get; init; }

    /// <summary>How attention and feed-forward part are joined.</summary>
    public Residual Residual { get; init; }

    /// <summary>Which products add a vector.</summary>
    public BiasedParts Biases { get; init; }

    /// <summary>What norms of queries and keys there are.</summary>
    public QueryKeyNorm QueryKeyNorm { get; init; }

    /// <summary>The feed-forward part's function.</summary>
    public Activation Activation { get; init; }

    /// <summary>Whether the feed-forward part has a gate.</summary>
    public Gating Gating { get; init; }

    /// <summary>What stands in place of feed-forward parts, and where; none where null.</summary>
    public ExpertOptions? Experts { get; init; }

    /// <summary>What products of queries and keys are multiplied by; 1 / sqrt(head width) where null.</summary>
    public float? AttentionScale { get; init; }

    /// <summary>c where attention's scores s become c tanh(s / c).</summary>
    public float? AttentionSoftcap { get; init; }

    /// <summary>The same for logits.</summary>
    public float? LogitSoftcap { get; init; }

    /// <summary>What embeddings are multiplied by; nothing where null.</summary>
    public float? EmbeddingScale { get; init; }

    /// <summary>Whether a layer's queries see only a window.</summary>
    public bool IsWindowed(int layer) => Window is not null && (WindowPattern == 0 || (layer + 1) % WindowPattern != 0);

    /// <summary>Angles a position, one for each pair of a head's numbers that is turned.</summary>
    /// <param name="isLocal">Whether of windowed layers that have frequencies of their own.</param>
    internal double[] RotaryFrequencies(bool isLocal) => isLocal
        ? RotaryTable.Frequencies(RotaryWidth ?? HeadWidth, LocalRopeTheta!.Value)
        : RotaryTable.Frequencies(RotaryWidth ?? HeadWidth, RopeTheta) is var frequencies && RopeScaling is { } scaling ? scaling.Scale(frequencies, RopeTheta) : frequencies;

    /// <summary>What turned queries and turned keys are multiplied by.</summary>
    /// <param name="isLocal">Whether of windowed layers that have frequencies of their own.</param>
    internal double RotaryAmplitude(bool isLocal) => isLocal ? 1 : RopeScaling?.Amplitude ?? 1;

    /// <summary>Added to the mean square in every norm.</summary>
    public float NormEpsilon { get; init; } = 1e-5f;

    /// <summary>Whether the head is the embedding's own table.</summary>
    public HeadKind Head { get; init; } = HeadKind.Tied;

    /// <summary>What tells it from other decoders, in words.</summary>
    internal IEnumerable<(string Name, string Value)> Facts
    {
        get
        {
            yield return ("kind", "decoder");
            yield return ("heads", $"{HeadCount}, {KeyValueHeadCount} for keys and values, {HeadWidth} wide");
            if (Experts is { } experts)
                yield return ("experts", $"{experts.Chosen} of {experts.Count}, {experts.Width} wide{(experts.SharedWidth is { } shared ? $", one of {shared} for all" : "")}, in {Enumerable.Range(0, LayerCount).Count(experts.Has)} of {LayerCount} layers");
            yield return ("positions", Positions == PositionKind.Learned ? "learned" : $"rotary, base {RopeTheta:R}{(RopeScaling is null ? "" : $", {RopeScaling.Name}")}");
            if (Window is { } window)
                yield return ("window", $"{window} tokens in {Enumerable.Range(0, LayerCount).Count(IsWindowed)} of {LayerCount} layers");
            yield return ("head", Head == HeadKind.Tied ? "the embedding's table" : "its own");
        }
    }

    /// <summary>Throws with the first size that cannot be; <paramref name="source"/> names the file.</summary>
    public void Validate(string source)
    {
        foreach ((string name, int value) in new[]
        {
            ("hidden_size", HiddenSize), ("intermediate_size", IntermediateSize), ("num_hidden_layers", LayerCount),
            ("num_attention_heads", HeadCount), ("num_key_value_heads", KeyValueHeadCount), ("head_dim", HeadWidth),
            ("vocab_size", VocabularySize), ("max_position_embeddings", ContextLength),
        })
            if (value is < 1 or > 1 << 24)
                throw new CoppiceException($"{source}: {name} is {value}, wanted 1 to {1 << 24}");
        if (LayerCount > MostLayers)
            throw new CoppiceException($"{source}: num_hidden_layers is {LayerCount}, wanted at most {MostLayers}");
        if (HeadCount % KeyValueHeadCount != 0)
            throw new CoppiceException($"{source}: num_attention_heads {HeadCount} is not a multiple of num_key_value_heads {KeyValueHeadCount}");
        Experts?.Validate(source);
        int turned = RotaryWidth ?? HeadWidth;
        if (Positions == PositionKind.Rotary && (turned % 2 != 0 || turned < 2 || turned > HeadWidth))
            throw new CoppiceException($"{source}: {turned} of a head's {HeadWidth} numbers are to be turned by positions, which takes pairs");
        if (Window is < 1 || FirstPosition is < 0 or > 1024 || WindowPattern < 0)
            throw new CoppiceException($"{source}: a window of {Window} tokens, every {WindowPattern} layers, and {FirstPosition} unused positions cannot be");
        foreach ((string name, long rows, long columns) in new[]
        {
            ("the embedding", (long)VocabularySize, (long)HiddenSize), ("a feed-forward matrix", Math.Max(IntermediateSize, Math.Max(Experts?.Width ?? 0, Experts?.SharedWidth ?? 0)), HiddenSize), ("an attention matrix", (long)HeadCount * HeadWidth, HiddenSize),
        })
            if (rows > int.MaxValue || rows * columns > Array.MaxLength)
                throw new CoppiceException($"{source}: {name} would be [{rows}, {columns}], more than the {Array.MaxLength:N0} numbers that fit one tensor");
        if (!(RopeTheta > 0) || !(NormEpsilon >= 0) || !float.IsFinite(RopeTheta) || !float.IsFinite(NormEpsilon))
            throw new CoppiceException($"{source}: rope_theta {RopeTheta} and rms_norm_eps {NormEpsilon} must be positive and finite");
    }
}

/// <summary>Where the last product's matrix comes from.</summary>
public enum HeadKind
{
    /// <summary>It is the embedding's table.</summary>
    Tied,

    /// <summary>It has a matrix of its own.</summary>
    Untied,
}

/// <summary>How a token's place comes into the model.</summary>
public enum PositionKind
{
    /// <summary>Queries and keys are turned (Su et al. 2021).</summary>
    Rotary,

    /// <summary>A row of a table is added to the embedding.</summary>
    Learned,
}

/// <summary>A norm's formula.</summary>
public enum NormKind
{
    /// <summary>Root mean square.</summary>
    Rms,

    /// <summary>Mean and variance, with a bias.</summary>
    Layer,
}

/// <summary>Where a block's norms stand.</summary>
public enum NormPlacement
{
    /// <summary>Before attention and before the feed-forward part.</summary>
    Before,

    /// <summary>Behind them.</summary>
    After,

    /// <summary>Before and behind.</summary>
    Around,
}

/// <summary>Products that add a vector.</summary>
[Flags]
public enum BiasedParts
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Those that give queries, keys and values.</summary>
    QueryKeyValue = 1,

    /// <summary>The one behind attention.</summary>
    AttentionOutput = 2,

    /// <summary>Those of the feed-forward part.</summary>
    FeedForward = 4,

    /// <summary>All in blocks.</summary>
    All = QueryKeyValue | AttentionOutput | FeedForward,
}

/// <summary>Norms of queries and keys.</summary>
public enum QueryKeyNorm
{
    /// <summary>None.</summary>
    None,

    /// <summary>Of each head by itself, one gain for all.</summary>
    Head,

    /// <summary>Of all heads together.</summary>
    Row,
}

/// <summary>Whether a feed-forward part has a gate.</summary>
public enum Gating
{
    /// <summary>down(f(gate(x)) * up(x)).</summary>
    Gated,

    /// <summary>down(f(up(x))).</summary>
    Plain,
}
