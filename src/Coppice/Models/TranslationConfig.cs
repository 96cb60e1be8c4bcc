using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>What an encoder with a decoder is: its sizes, under Marian's names in Hugging Face's config.json.</summary>
public sealed record TranslationConfig
{
    /// <summary>The family, by Hugging Face's <c>model_type</c>.</summary>
    public string Family { get; init; } = "marian";

    /// <summary>Width of the hidden states.</summary>
    public required int Width { get; init; }

    /// <summary>The half that reads the source.</summary>
    public required TranslationStack Encoder { get; init; }

    /// <summary>The half that writes.</summary>
    public required TranslationStack Decoder { get; init; }

    /// <summary>Token ids, of both languages.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>The most tokens in a source or in a translation.</summary>
    public required int ContextLength { get; init; }

    /// <summary>The feed-forward parts' function.</summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>What embeddings are multiplied by; nothing where null.</summary>
    public float? EmbeddingScale { get; init; }

    /// <summary>The id that a translation begins behind.</summary>
    public required int StartId { get; init; }

    /// <summary>The id that ends a source and a translation.</summary>
    public required int EndId { get; init; }

    /// <summary>An id that no translation has.</summary>
    public required int PaddingId { get; init; }

    /// <summary>Added to the variance in every norm.</summary>
    public float NormEpsilon { get; init; } = 1e-5f;

    /// <summary>Throws with the first size that cannot be; <paramref name="source"/> names the file.</summary>
    internal void Validate(string source)
    {
        foreach ((string name, int value) in new[]
        {
            ("d_model", Width), ("vocab_size", VocabularySize), ("max_position_embeddings", ContextLength),
            ("encoder_layers", Encoder.Layers), ("encoder_attention_heads", Encoder.Heads), ("encoder_ffn_dim", Encoder.Inner),
            ("decoder_layers", Decoder.Layers), ("decoder_attention_heads", Decoder.Heads), ("decoder_ffn_dim", Decoder.Inner),
        })
            if (value is < 1 or > 1 << 24)
                throw new CoppiceException($"{source}: {name} is {value}, wanted 1 to {1 << 24}");
        if (Width % Encoder.Heads != 0 || Width % Decoder.Heads != 0 || Width % 2 != 0 || Encoder.Layers > 4096 || Decoder.Layers > 4096)
            throw new CoppiceException($"{source}: {Encoder.Heads} and {Decoder.Heads} heads do not divide an even d_model {Width}, or there are more than 4096 layers");
        if ((long)Math.Max(Math.Max(VocabularySize, ContextLength), Math.Max(Encoder.Inner, Decoder.Inner)) * Width > Array.MaxLength)
            throw new CoppiceException($"{source}: a matrix would have more than the {Array.MaxLength:N0} numbers that fit one tensor");
        foreach ((string name, int id) in new[] { ("decoder_start_token_id", StartId), ("eos_token_id", EndId), ("pad_token_id", PaddingId) })
            if ((uint)id >= (uint)VocabularySize)
                throw new CoppiceException($"{source}: {name} is {id}, wanted 0 to {VocabularySize - 1}");
    }
}

/// <summary>One half of a translation model.</summary>
/// <param name="Layers">Blocks.</param>
/// <param name="Heads">Heads; they divide the width.</param>
/// <param name="Inner">Width inside the feed-forward part.</param>
public sealed record TranslationStack(int Layers, int Heads, int Inner);
