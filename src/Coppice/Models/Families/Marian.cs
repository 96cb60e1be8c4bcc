using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>Marian (Junczys-Dowmunt et al. 2018), as OPUS-MT's translation models are: norms behind sums, sinusoids for positions, one table for both languages and the head.</summary>
static class Marian
{
    /// <summary>Hugging Face's <c>model_type</c>.</summary>
    public const string Name = "marian";

    const string ClassName = "MarianMTModel";

    static readonly (string Ours, string Theirs)[] block =
    [
        ("self_attn.o_proj.", "self_attn.out_proj."), ("self_attn.", "self_attn."), ("post_attention_layernorm.", "self_attn_layer_norm."), ("encoder_attn.o_proj.", "encoder_attn.out_proj."),
        ("encoder_attn.norm.", "encoder_attn_layer_norm."), ("encoder_attn.", "encoder_attn."), ("mlp.up_proj.", "fc1."), ("mlp.down_proj.", "fc2."), ("post_feedforward_layernorm.", "final_layer_norm."),
    ];

    /// <summary>Reads config.json.</summary>
    /// <exception cref="CoppiceException">It asks for what is not computed here.</exception>
    public static TranslationConfig Read(JsonFields json)
    {
        if (json.Has("architectures") && json.Texts("architectures") is [string head, ..] && head != ClassName)
            throw json.Error($"architectures names {head}, wanted {ClassName}");
        foreach ((string flag, bool wanted) in new[]
        {
            ("normalize_before", false), ("normalize_embedding", false), ("add_final_layer_norm", false), ("add_bias_logits", false), ("static_position_embeddings", true),
            ("share_encoder_decoder_embeddings", true), ("tie_word_embeddings", true),
        })
            Family.Expect(json, flag, wanted);
        int width = json.Integer("d_model"), vocabulary = json.Integer("vocab_size");
        if (json.Integer("decoder_vocab_size", vocabulary) is var other && other != vocabulary)
            throw json.Error($"decoder_vocab_size is {other}, wanted vocab_size {vocabulary}: one table serves both languages");
        int padding = json.Integer("pad_token_id", vocabulary - 1);
        return new TranslationConfig
        {
            Width = width,
            Encoder = new TranslationStack(json.Integer("encoder_layers"), json.Integer("encoder_attention_heads"), json.Integer("encoder_ffn_dim")),
            Decoder = new TranslationStack(json.Integer("decoder_layers"), json.Integer("decoder_attention_heads"), json.Integer("decoder_ffn_dim")),
            VocabularySize = vocabulary,
            ContextLength = json.Integer("max_position_embeddings", 1024),
            Activation = Family.ReadActivation(json, "activation_function", "swish"),
            EmbeddingScale = json.Flag("scale_embedding", false) ? MathF.Sqrt(width) : null,
            StartId = json.Integer("decoder_start_token_id", padding),
            EndId = json.Integer("eos_token_id", 0),
            PaddingId = padding,
        };
    }

    /// <summary>What config.json says but for the number type.</summary>
    public static JsonObject Write(TranslationConfig config) => new()
    {
        ["architectures"] = new JsonArray(ClassName),
        ["model_type"] = Name,
        ["is_encoder_decoder"] = true,
        ["d_model"] = config.Width,
        ["encoder_layers"] = config.Encoder.Layers,
        ["encoder_attention_heads"] = config.Encoder.Heads,
        ["encoder_ffn_dim"] = config.Encoder.Inner,
        ["decoder_layers"] = config.Decoder.Layers,
        ["decoder_attention_heads"] = config.Decoder.Heads,
        ["decoder_ffn_dim"] = config.Decoder.Inner,
        ["vocab_size"] = config.VocabularySize,
        ["decoder_vocab_size"] = config.VocabularySize,
        ["max_position_embeddings"] = config.ContextLength,
        ["activation_function"] = config.Activation == Activation.Silu ? "swish" : Family.WriteActivation(config.Activation),
        ["scale_embedding"] = config.EmbeddingScale is not null,
        ["static_position_embeddings"] = true,
        ["share_encoder_decoder_embeddings"] = true,
        ["tie_word_embeddings"] = true,
        ["normalize_before"] = false,
        ["decoder_start_token_id"] = config.StartId,
        ["pad_token_id"] = config.PaddingId,
        ["eos_token_id"] = config.EndId,
    };

    /// <summary>Where a folder keeps the tensor that we call <paramref name="name"/>.</summary>
    public static TensorPlace InFolder(string name, TranslationConfig config)
    {
        if (name == "model.embed_tokens.weight")
            return new("model.shared.weight");
        if (name == "head.bias")
            return new("final_logits_bias") { StoredShape = [1, config.VocabularySize] };
        // model.encoder.layers.3.mlp.up_proj.weight
        string[] parts = name.Split('.', 5);
        (string ours, string theirs) = block.First(pair => parts[4].StartsWith(pair.Ours, StringComparison.Ordinal));
        return new($"{string.Join('.', parts[..4])}.{theirs}{parts[4][ours.Length..]}");
    }

    /// <summary>Whether a folder's tensor may be there without a use: the sinusoids, and the one table under its other names.</summary>
    public static bool MayStay(string name) => name is "model.encoder.embed_tokens.weight" or "model.decoder.embed_tokens.weight" or "lm_head.weight" || name.EndsWith("embed_positions.weight", StringComparison.Ordinal);
}
