using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>What the families share whose settings have Llama's names: sizes, rotary positions, RMS norms.</summary>
abstract class LlamaLike : Family
{
    /// <inheritdoc/>
    public override bool StoresHeadWidth => true;

    /// <summary>The settings that have the same names everywhere. <paramref name="headWidth"/> and <paramref name="tied"/> are what the family takes where they are absent.</summary>
    protected DecoderConfig Sizes(JsonFields json, int? headWidth = null, bool tied = false, double theta = 10_000, int context = 2048)
    {
        int heads = json.Integer("num_attention_heads"), width = json.Integer("hidden_size");
        (double ropeTheta, RopeScaling? scaling) = RopeSettings.Read(json, theta, context, width: json.Integer("head_dim", headWidth ?? (heads > 0 ? width / heads : 0)));
        return new DecoderConfig
        {
            Family = Name,
            HiddenSize = width,
            IntermediateSize = json.Integer("intermediate_size"),
            LayerCount = json.Integer("num_hidden_layers"),
            HeadCount = heads,
            KeyValueHeadCount = json.Integer("num_key_value_heads", heads),
            HeadWidth = json.Integer("head_dim", headWidth ?? (heads > 0 ? width / heads : 0)),
            VocabularySize = json.Integer("vocab_size"),
            ContextLength = scaling is LongRopeScaling both ? Math.Min(both.OriginalContext, both.Context) : json.Integer("max_position_embeddings", context),
            RopeTheta = (float)ropeTheta,
            RopeScaling = scaling,
            NormEpsilon = (float)json.Number("rms_norm_eps", 1e-6),
            Activation = ReadActivation(json, "hidden_act", "silu"),
            Head = json.Flag("tie_word_embeddings", tied) ? HeadKind.Tied : HeadKind.Untied,
        };
    }

    /// <summary>The fields of <see cref="Sizes(JsonFields, int?, bool, double, int)"/>.</summary>
    protected static JsonObject Sizes(DecoderConfig config)
    {
        JsonObject json = new()
        {
            ["hidden_size"] = config.HiddenSize,
            ["intermediate_size"] = config.IntermediateSize,
            ["num_hidden_layers"] = config.LayerCount,
            ["num_attention_heads"] = config.HeadCount,
            ["num_key_value_heads"] = config.KeyValueHeadCount,
            ["head_dim"] = config.HeadWidth,
            ["vocab_size"] = config.VocabularySize,
            ["max_position_embeddings"] = config.RopeScaling is LongRopeScaling { Context: var longest } ? longest : config.ContextLength,
            ["rope_theta"] = config.RopeTheta,
            ["rms_norm_eps"] = config.NormEpsilon,
            ["hidden_act"] = WriteActivation(config.Activation),
        };
        RopeSettings.Write(config.RopeScaling, json);
        return json;
    }

    /// <summary>The keys that have the same names in every architecture.</summary>
    protected DecoderConfig Sizes(Gguf file)
    {
        string prefix = GgufArchitecture + ".";
        int heads = file.Get<int>(prefix + "attention.head_count"), width = file.Get<int>(prefix + "embedding_length");
        DecoderConfig config = new()
        {
            Family = Name,
            HiddenSize = width,
            IntermediateSize = file.Get<int>(prefix + "feed_forward_length"),
            LayerCount = file.Get<int>(prefix + "block_count"),
            HeadCount = heads,
            KeyValueHeadCount = file.Get(prefix + "attention.head_count_kv", heads),
            HeadWidth = file.Get(prefix + "attention.key_length", heads > 0 ? width / heads : 0),
            VocabularySize = (int)file.ShapeOf("token_embd.weight")[0],
            ContextLength = file.Get<int>(prefix + "context_length"),
            RopeTheta = file.Get(prefix + "rope.freq_base", 10_000f),
            RopeScaling = RopeSettings.Read(file, prefix),
            NormEpsilon = file.Get<float>(prefix + "attention.layer_norm_rms_epsilon"),
            Head = file.Names.Contains("output.weight") ? HeadKind.Untied : HeadKind.Tied,
        };
        if (config.RopeScaling is LongRopeScaling { OriginalContext: var first })
            config = config with { ContextLength = first };
        int turned = file.Get(prefix + "rope.dimension_count", config.HeadWidth);
        return turned == config.HeadWidth ? config : throw new CoppiceException($"{file.Path}: {prefix}rope.dimension_count is {turned}, wanted all {config.HeadWidth} numbers of a head");
    }

    /// <summary>The tensors of divisors that llama.cpp reads: one for all texts, or one for short and one for long texts.</summary>
    internal const string RopeFrequencies = "rope_freqs.weight", ShortFactors = "rope_factors_short.weight", LongFactors = "rope_factors_long.weight";

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config)
    {
        string prefix = GgufArchitecture + ".";
        yield return new(prefix + "attention.layer_norm_rms_epsilon", config.NormEpsilon);
        yield return new(prefix + "rope.freq_base", config.RopeTheta);
        yield return new(prefix + "rope.dimension_count", (uint)config.HeadWidth);
        foreach (KeyValuePair<string, object> pair in RopeSettings.Metadata(config.RopeScaling, prefix))
            yield return pair;
    }

    /// <summary>Reads the window of <c>sliding_window</c>, where there is one.</summary>
    protected static int? Window(JsonFields json) => json.Has("sliding_window") ? json.Integer("sliding_window") : null;

    /// <summary>Throws unless <c>layer_types</c>, where it is there, says what <paramref name="config"/> does.</summary>
    protected static void CheckLayerTypes(JsonFields json, DecoderConfig config)
    {
        if (!json.Has("layer_types"))
            return;
        IReadOnlyList<string> types = json.Texts("layer_types");
        for (int i = 0; i < config.LayerCount; i++)
            if (types.Count != config.LayerCount || types[i] != (config.IsWindowed(i) ? "sliding_attention" : "full_attention"))
                throw json.Error($"layer_types has {types.Count} entries, {(i < types.Count ? $"'{types[i]}' for layer {i}" : "too few")}; wanted {config.LayerCount}, {(config.IsWindowed(i) ? "sliding_attention" : "full_attention")} there");
    }

    /// <summary>llama.cpp's name of a tensor in an architecture with norms behind attention and feed-forward part.</summary>
    protected static TensorNames NormsBehind { get; } = new("blk.",
        ("model.embed_tokens.", "token_embd."), ("model.norm.", "output_norm."), ("lm_head.", "output."), ("input_layernorm.", "attn_norm."),
        ("self_attn.q_proj.", "attn_q."), ("self_attn.k_proj.", "attn_k."), ("self_attn.v_proj.", "attn_v."), ("self_attn.o_proj.", "attn_output."),
        ("self_attn.q_norm.", "attn_q_norm."), ("self_attn.k_norm.", "attn_k_norm."),
        ("post_attention_layernorm.", "post_attention_norm."), ("pre_feedforward_layernorm.", "ffn_norm."), ("post_feedforward_layernorm.", "post_ffw_norm."),
        ("mlp.gate_proj.", "ffn_gate."), ("mlp.up_proj.", "ffn_up."), ("mlp.down_proj.", "ffn_down."));
}
