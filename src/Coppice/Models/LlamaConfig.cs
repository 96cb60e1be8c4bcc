using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>The sizes of a Llama-family model, under their names in Hugging Face's config.json.</summary>
public sealed record LlamaConfig
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

    /// <summary>Base of the rotary frequencies.</summary>
    public float RopeTheta { get; init; } = 10_000;

    /// <summary>Added to the mean square in every norm.</summary>
    public float NormEpsilon { get; init; } = 1e-5f;

    /// <summary>Whether the head is the embedding's own table.</summary>
    public HeadKind Head { get; init; } = HeadKind.Tied;

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
        if (HeadWidth % 2 != 0)
            throw new CoppiceException($"{source}: head_dim {HeadWidth} is odd, rotary positions turn pairs");
        foreach ((string name, long rows, long columns) in new[]
        {
            ("the embedding", (long)VocabularySize, (long)HiddenSize), ("a feed-forward matrix", IntermediateSize, HiddenSize), ("an attention matrix", (long)HeadCount * HeadWidth, HiddenSize),
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
