using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>GPT-2 (Radford et al. 2019): learned positions, layer norms, biases everywhere, matrices stored [inputs, outputs] and queries, keys and values in one.</summary>
sealed class Gpt2 : Family
{
    static readonly TensorNames folder = new("transformer.h.",
        ("model.embed_tokens.", "transformer.wte."), ("model.embed_positions.", "transformer.wpe."), ("model.norm.", "transformer.ln_f."), ("lm_head.", "lm_head."),
        ("input_layernorm.", "ln_1."), ("self_attn.q_proj.", "attn.c_attn."), ("self_attn.k_proj.", "attn.c_attn."), ("self_attn.v_proj.", "attn.c_attn."),
        ("self_attn.o_proj.", "attn.c_proj."), ("post_attention_layernorm.", "ln_2."), ("mlp.up_proj.", "mlp.c_fc."), ("mlp.down_proj.", "mlp.c_proj."));

    /// <inheritdoc/>
    public override string Name => "gpt2";

    /// <inheritdoc/>
    public override string ClassName => "GPT2LMHeadModel";

    /// <inheritdoc/>
    public override string GgufArchitecture => "gpt2";

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        Expect(json, "scale_attn_weights", true);
        Expect(json, "scale_attn_by_inverse_layer_idx", false);
        Expect(json, "add_cross_attention", false);
        int width = json.Integer("n_embd"), heads = json.Integer("n_head");
        return Common(heads, width) with
        {
            IntermediateSize = json.Integer("n_inner", 4 * width),
            LayerCount = json.Integer("n_layer"),
            VocabularySize = json.Integer("vocab_size"),
            ContextLength = json.Integer("n_positions", json.Integer("n_ctx", 1024)),
            NormEpsilon = (float)json.Number("layer_norm_epsilon", 1e-5),
            Activation = ReadActivation(json, "activation_function", "gelu_new"),
            Head = json.Flag("tie_word_embeddings", true) ? HeadKind.Tied : HeadKind.Untied,
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
        Positions = PositionKind.Learned,
        Norm = NormKind.Layer,
        Biases = BiasedParts.All,
        Gating = Gating.Plain,
    };

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config) => new()
    {
        ["n_embd"] = config.HiddenSize,
        ["n_inner"] = config.IntermediateSize,
        ["n_layer"] = config.LayerCount,
        ["n_head"] = config.HeadCount,
        ["vocab_size"] = config.VocabularySize,
        ["n_positions"] = config.ContextLength,
        ["n_ctx"] = config.ContextLength,
        ["layer_norm_epsilon"] = config.NormEpsilon,
        ["activation_function"] = config.Activation == Activation.GeluTanh ? "gelu_new" : WriteActivation(config.Activation),
    };

    /// <inheritdoc/>
    public override TensorPlace InFolder(string name, DecoderConfig config)
    {
        bool isTransposed = name.EndsWith("_proj.weight", StringComparison.Ordinal);
        TensorPlace place = new(folder.Of(name)) { IsTransposed = isTransposed };
        return QueryKeyValueRows(name, config) is { } rows ? place.Part(rows.First, rows.Count, rows.All) : place;
    }

    /// <inheritdoc/>
    public override bool IsDerived(string name) => name.EndsWith(".attn.bias", StringComparison.Ordinal) || name.EndsWith(".attn.masked_bias", StringComparison.Ordinal);

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file)
    {
        DecoderConfig config = Common(file.Get<int>("gpt2.attention.head_count"), file.Get<int>("gpt2.embedding_length"));
        return config with
        {
            IntermediateSize = file.Get("gpt2.feed_forward_length", 4 * config.HiddenSize),
            LayerCount = file.Get<int>("gpt2.block_count"),
            VocabularySize = (int)file.ShapeOf("token_embd.weight")[0],
            ContextLength = file.Get<int>("gpt2.context_length"),
            NormEpsilon = file.Get<float>("gpt2.attention.layer_norm_epsilon"),
            Activation = Activation.GeluTanh,
            Head = file.Names.Contains("output.weight") ? HeadKind.Untied : HeadKind.Tied,
        };
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config) => config.Activation == Activation.GeluTanh
        ? [new("gpt2.attention.layer_norm_epsilon", config.NormEpsilon)]
        : throw new CoppiceException($"llama.cpp computes gpt2 with the tanh formula of GELU, this model has {config.Activation}");

    /// <inheritdoc/>
    public override TensorPlace InGguf(string name, DecoderConfig config) => QueryKeyValueRows(name, config) is { } rows
        ? new TensorPlace(TensorNames.Gguf.Of(name).Replace("attn_q.", "attn_qkv.", StringComparison.Ordinal).Replace("attn_k.", "attn_qkv.", StringComparison.Ordinal).Replace("attn_v.", "attn_qkv.", StringComparison.Ordinal)).Part(rows.First, rows.Count, rows.All)
        : base.InGguf(name, config);
}
