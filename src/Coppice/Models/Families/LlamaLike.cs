using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>What the families share whose settings have Llama's names: sizes, rotary positions, RMS norms.</summary>
abstract class LlamaLike : Family
{
    /// <summary>The settings that have the same names everywhere. <paramref name="headWidth"/> and <paramref name="tied"/> are what the family takes where they are absent.</summary>
    protected DecoderConfig Sizes(JsonFields json, int? headWidth = null, bool tied = false, double theta = 10_000, int context = 2048)
    {
        int heads = json.Integer("num_attention_heads"), width = json.Integer("hidden_size");
        (double ropeTheta, RopeScaling? scaling) = ReadRope(json, theta);
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
            ContextLength = json.Integer("max_position_embeddings", context),
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
            ["max_position_embeddings"] = config.ContextLength,
            ["rope_theta"] = config.RopeTheta,
            ["rms_norm_eps"] = config.NormEpsilon,
            ["hidden_act"] = WriteActivation(config.Activation),
        };
        if (WriteRope(config.RopeScaling) is { } scaling)
            json["rope_scaling"] = scaling;
        return json;
    }

    static (double Theta, RopeScaling? Scaling) ReadRope(JsonFields json, double absent)
    {
        // Transformers 5 keeps theta and the scaling in one object.
        JsonFields? rope = json.Has("rope_parameters") ? json.Object("rope_parameters") : json.Has("rope_scaling") ? json.Object("rope_scaling") : null;
        double theta = json.Number("rope_theta", rope?.Number("rope_theta", absent) ?? absent);
        if (rope is null)
            return (theta, null);
        string kind = rope.Text("rope_type", rope.Text("type", "default"));
        return (theta, kind switch
        {
            "default" => null,
            "linear" => new LinearRopeScaling(Factor("factor")),
            "llama3" => new Llama3RopeScaling(Factor("factor"), Factor("low_freq_factor"), Factor("high_freq_factor"), rope.Integer("original_max_position_embeddings")),
            _ => throw json.Error($"the rotary scaling is '{kind}', wanted default, linear or llama3"),
        });

        double Factor(string name) => rope.Number(name) is > 0 and < 1e6 and double factor ? factor : throw json.Error($"the rotary scaling's {name} is {rope.Number(name)}, wanted a positive number");
    }

    static JsonObject? WriteRope(RopeScaling? scaling) => scaling switch
    {
        null => null,
        LinearRopeScaling linear => new JsonObject { ["rope_type"] = "linear", ["factor"] = linear.Factor },
        Llama3RopeScaling three => new JsonObject
        {
            ["rope_type"] = "llama3",
            ["factor"] = three.Factor,
            ["low_freq_factor"] = three.LowFactor,
            ["high_freq_factor"] = three.HighFactor,
            ["original_max_position_embeddings"] = three.OriginalContext,
        },
        _ => throw new CoppiceException("the model's rotary frequencies were read from a GGUF's rope_freqs.weight, and config.json has no field for such a list"),
    };

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
            RopeScaling = ReadRope(file, prefix),
            NormEpsilon = file.Get<float>(prefix + "attention.layer_norm_rms_epsilon"),
            Head = file.Names.Contains("output.weight") ? HeadKind.Untied : HeadKind.Tied,
        };
        int turned = file.Get(prefix + "rope.dimension_count", config.HeadWidth);
        return turned == config.HeadWidth ? config : throw new CoppiceException($"{file.Path}: {prefix}rope.dimension_count is {turned}, wanted all {config.HeadWidth} numbers of a head");
    }

    static RopeScaling? ReadRope(Gguf file, string prefix)
    {
        if (file.Names.Contains(RopeFrequencies))
            return new ListedRopeScaling(file.ReadTensor(RopeFrequencies).Data.ToArray());
        string kind = file.Get(prefix + "rope.scaling.type", "none");
        return kind switch
        {
            "none" => null,
            "linear" => new LinearRopeScaling(file.Get<float>(prefix + "rope.scaling.factor")),
            _ => throw new CoppiceException($"{file.Path}: {prefix}rope.scaling.type is '{kind}', which this version cannot compute"),
        };
    }

    /// <summary>The tensor of divisors that llama.cpp reads.</summary>
    internal const string RopeFrequencies = "rope_freqs.weight";

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config)
    {
        string prefix = GgufArchitecture + ".";
        yield return new(prefix + "attention.layer_norm_rms_epsilon", config.NormEpsilon);
        yield return new(prefix + "rope.freq_base", config.RopeTheta);
        yield return new(prefix + "rope.dimension_count", (uint)config.HeadWidth);
        if (config.RopeScaling is LinearRopeScaling linear)
        {
            yield return new(prefix + "rope.scaling.type", "linear");
            yield return new(prefix + "rope.scaling.factor", (float)linear.Factor);
        }
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
