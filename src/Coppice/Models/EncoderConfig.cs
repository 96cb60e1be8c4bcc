using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>What an encoder is: its sizes, under BERT's names in Hugging Face's config.json, and what it gives.</summary>
public sealed record EncoderConfig
{
    /// <summary>The family, by Hugging Face's <c>model_type</c>.</summary>
    public required string Family { get; init; }

    /// <summary>What it gives.</summary>
    public required EncoderTask Task { get; init; }

    /// <summary>Width of the hidden states.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width inside the feed-forward part.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Blocks.</summary>
    public required int LayerCount { get; init; }

    /// <summary>Heads; they divide <see cref="HiddenSize"/>.</summary>
    public required int HeadCount { get; init; }

    /// <summary>Token ids.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>The most tokens in a sequence.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Rows of the table of positions before that of the first token.</summary>
    public int FirstPosition { get; init; }

    /// <summary>Parts of a sequence that are told apart; 0 where there is no table of them.</summary>
    public int TypeCount { get; init; }

    /// <summary>Names of the classes, in order; none unless <see cref="Task"/> is classification.</summary>
    public IReadOnlyList<string> Labels { get; init; } = [];

    /// <summary>The feed-forward part's function.</summary>
    public Activation Activation { get; init; } = Activation.Gelu;

    /// <summary>The function between a classifier's two products.</summary>
    public Activation PoolerActivation { get; init; } = Activation.Tanh;

    /// <summary>Whether a model of <see cref="EncoderTask.Embedding"/> carries the product that its family puts over the first token; embeddings do not use it.</summary>
    public bool HasPooler { get; init; }

    /// <summary>How its embeddings are meant to be pooled.</summary>
    public Pooling Pooling { get; init; }

    /// <summary>Added to the variance in every norm.</summary>
    public float NormEpsilon { get; init; } = 1e-12f;

    /// <summary>Throws with the first size that cannot be; <paramref name="source"/> names the file.</summary>
    internal void Validate(string source)
    {
        foreach ((string name, int value) in new[]
        {
            ("hidden_size", HiddenSize), ("intermediate_size", IntermediateSize), ("num_hidden_layers", LayerCount), ("num_attention_heads", HeadCount),
            ("vocab_size", VocabularySize), ("max_position_embeddings", ContextLength),
        })
            if (value is < 1 or > 1 << 24)
                throw new CoppiceException($"{source}: {name} is {value}, wanted 1 to {1 << 24}");
        if (LayerCount > 4096 || HiddenSize % HeadCount != 0)
            throw new CoppiceException($"{source}: {LayerCount} layers of width {HiddenSize} with {HeadCount} heads cannot be; heads divide the width, and there are at most 4096 layers");
        if (TypeCount is < 0 or > 1 << 16 || (long)Math.Max(VocabularySize, Math.Max(IntermediateSize, ContextLength + FirstPosition)) * HiddenSize > Array.MaxLength)
            throw new CoppiceException($"{source}: the embedding or a feed-forward matrix would have more than the {Array.MaxLength:N0} numbers that fit one tensor");
        if (Task == EncoderTask.Classification && Labels.Count < 1)
            throw new CoppiceException($"{source}: a classifier without classes");
        if (!(NormEpsilon >= 0) || !float.IsFinite(NormEpsilon))
            throw new CoppiceException($"{source}: layer_norm_eps {NormEpsilon} must be positive and finite");
    }

    /// <inheritdoc/>
    public bool Equals(EncoderConfig? other) => other is not null && Labels.SequenceEqual(other.Labels)
        && (Family, Task, HiddenSize, IntermediateSize, LayerCount, HeadCount, VocabularySize) == (other.Family, other.Task, other.HiddenSize, other.IntermediateSize, other.LayerCount, other.HeadCount, other.VocabularySize)
        && (ContextLength, FirstPosition, TypeCount, Activation, PoolerActivation, HasPooler, Pooling, NormEpsilon) == (other.ContextLength, other.FirstPosition, other.TypeCount, other.Activation, other.PoolerActivation, other.HasPooler, other.Pooling, other.NormEpsilon);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Family, Task, HiddenSize, IntermediateSize, LayerCount, HeadCount, VocabularySize, ContextLength);
}

/// <summary>What an encoder gives.</summary>
public enum EncoderTask
{
    /// <summary>Hidden states, to be pooled.</summary>
    Embedding,

    /// <summary>Of each sequence a score for each class.</summary>
    Classification,

    /// <summary>Of each token logits of what stands in its place.</summary>
    MaskedLanguage,
}
