using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>GPT-NeoX (Black et al. 2022) and Pythia: both parts of a block read the same, a quarter of each head is turned, each head's query, key and value rows follow one another.</summary>
sealed class GptNeoX : Family
{
    static readonly TensorNames folder = new("gpt_neox.layers.",
        ("model.embed_tokens.", "gpt_neox.embed_in."), ("model.norm.", "gpt_neox.final_layer_norm."), ("lm_head.", "embed_out."), ("input_layernorm.", "input_layernorm."),
        ("self_attn.q_proj.", "attention.query_key_value."), ("self_attn.k_proj.", "attention.query_key_value."), ("self_attn.v_proj.", "attention.query_key_value."),
        ("self_attn.o_proj.", "attention.dense."), ("post_attention_layernorm.", "post_attention_layernorm."), ("mlp.up_proj.", "mlp.dense_h_to_4h."), ("mlp.down_proj.", "mlp.dense_4h_to_h."));

    /// <inheritdoc/>
    public override string Name => "gpt_neox";

    /// <inheritdoc/>
    public override string ClassName => "GPTNeoXForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "gptneox";

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        Expect(json, "attention_bias", true);
        if (json.Has("rope_scaling"))
            throw json.Error("rope_scaling is set, which this version cannot compute for gpt_neox");
        JsonFields? rope = json.Has("rope_parameters") ? json.Object("rope_parameters") : null;
        DecoderConfig config = Common(json.Integer("num_attention_heads"), json.Integer("hidden_size"));
        return config with
        {
            IntermediateSize = json.Integer("intermediate_size"),
            LayerCount = json.Integer("num_hidden_layers"),
            VocabularySize = json.Integer("vocab_size"),
            ContextLength = json.Integer("max_position_embeddings", 2048),
            RotaryWidth = (int)(config.HeadWidth * json.Number("rotary_pct", rope?.Number("partial_rotary_factor", 0.25) ?? 0.25)),
            RopeTheta = (float)json.Number("rotary_emb_base", rope?.Number("rope_theta", 10_000) ?? json.Number("rope_theta", 10_000)),
            NormEpsilon = (float)json.Number("layer_norm_eps", 1e-5),
            Activation = ReadActivation(json, "hidden_act", "gelu"),
            Residual = json.Flag("use_parallel_residual", true) ? Residual.Parallel : Residual.Sequential,
            Head = json.Flag("tie_word_embeddings", false) ? HeadKind.Tied : HeadKind.Untied,
        };
    }

    DecoderConfig Common(int heads, int width) => new()
    {
        Family = Name,
        HiddenSize = width,
        IntermediateSize = 0,
        LayerCount = 0,
        HeadCount = heads,
        KeyValueHeadCount = heads,
        HeadWidth = heads > 0 ? width / heads : 0,
        VocabularySize = 0,
        ContextLength = 0,
        Norm = NormKind.Layer,
        Biases = BiasedParts.All,
        Gating = Gating.Plain,
    };

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config) => new()
    {
        ["hidden_size"] = config.HiddenSize,
        ["intermediate_size"] = config.IntermediateSize,
        ["num_hidden_layers"] = config.LayerCount,
        ["num_attention_heads"] = config.HeadCount,
        ["vocab_size"] = config.VocabularySize,
        ["max_position_embeddings"] = config.ContextLength,
        ["rotary_pct"] = (double)(config.RotaryWidth ?? config.HeadWidth) / config.HeadWidth,
        ["rotary_emb_base"] = config.RopeTheta,
        ["layer_norm_eps"] = config.NormEpsilon,
        ["hidden_act"] = config.Activation == Activation.GeluTanh ? "gelu_new" : WriteActivation(config.Activation),
        ["use_parallel_residual"] = config.Residual == Residual.Parallel,
        ["attention_bias"] = true,
    };

    /// <inheritdoc/>
    public override TensorPlace InFolder(string name, DecoderConfig config)
    {
        TensorPlace place = new(folder.Of(name));
        if (QueryKeyValueRows(name, config) is not { } rows)
            return place;
        // Head after head: its query rows, its key rows, its value rows.
        int which = rows.First / rows.Count, d = config.HeadWidth;
        return place with { Rows = [.. Enumerable.Range(0, rows.Count).Select(i => (i / d * 3 + which) * d + i % d)], StoredRows = rows.All };
    }

    /// <inheritdoc/>
    public override bool IsDerived(string name) => name.EndsWith(".attention.bias", StringComparison.Ordinal) || name.EndsWith(".attention.masked_bias", StringComparison.Ordinal) || base.IsDerived(name);

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file)
    {
        DecoderConfig config = Common(file.Get<int>("gptneox.attention.head_count"), file.Get<int>("gptneox.embedding_length"));
        return config with
        {
            IntermediateSize = file.Get<int>("gptneox.feed_forward_length"),
            LayerCount = file.Get<int>("gptneox.block_count"),
            VocabularySize = (int)file.ShapeOf("token_embd.weight")[0],
            ContextLength = file.Get<int>("gptneox.context_length"),
            RotaryWidth = file.Get("gptneox.rope.dimension_count", config.HeadWidth),
            RopeTheta = file.Get("gptneox.rope.freq_base", 10_000f),
            NormEpsilon = file.Get<float>("gptneox.attention.layer_norm_epsilon"),
            Activation = Activation.Gelu,
            Residual = file.Get("gptneox.use_parallel_residual", true) ? Residual.Parallel : Residual.Sequential,
            Head = file.Names.Contains("output.weight") ? HeadKind.Untied : HeadKind.Tied,
        };
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config) =>
    [
        new("gptneox.attention.layer_norm_epsilon", config.NormEpsilon),
        new("gptneox.rope.dimension_count", (uint)(config.RotaryWidth ?? config.HeadWidth)),
        new("gptneox.rope.freq_base", config.RopeTheta),
        new("gptneox.use_parallel_residual", config.Residual == Residual.Parallel),
    ];

    /// <inheritdoc/>
    public override TensorPlace InGguf(string name, DecoderConfig config) => QueryKeyValueRows(name, config) is { } rows
        ? new TensorPlace(TensorNames.Gguf.Of(name).Replace("attn_q.", "attn_qkv.", StringComparison.Ordinal).Replace("attn_k.", "attn_qkv.", StringComparison.Ordinal).Replace("attn_v.", "attn_qkv.", StringComparison.Ordinal)).Part(rows.First, rows.Count, rows.All)
        : base.InGguf(name, config);
}
