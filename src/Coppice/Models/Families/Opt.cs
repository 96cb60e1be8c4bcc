using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>OPT (Zhang et al. 2022): learned positions whose table begins two rows before the first token, layer norms, ReLU. llama.cpp has no such architecture.</summary>
sealed class Opt : Family
{
    static readonly TensorNames folder = new("model.decoder.layers.",
        ("model.embed_tokens.", "model.decoder.embed_tokens."), ("model.embed_positions.", "model.decoder.embed_positions."), ("model.norm.", "model.decoder.final_layer_norm."), ("lm_head.", "lm_head."),
        ("input_layernorm.", "self_attn_layer_norm."), ("self_attn.o_proj.", "self_attn.out_proj."), ("self_attn.", "self_attn."), ("post_attention_layernorm.", "final_layer_norm."),
        ("mlp.up_proj.", "fc1."), ("mlp.down_proj.", "fc2."));

    /// <inheritdoc/>
    public override string Name => "opt";

    /// <inheritdoc/>
    public override string ClassName => "OPTForCausalLM";

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        Expect(json, "do_layer_norm_before", true);
        Expect(json, "enable_bias", true);
        Expect(json, "layer_norm_elementwise_affine", true);
        Expect(json, "_remove_final_layer_norm", false);
        int width = json.Integer("hidden_size"), heads = json.Integer("num_attention_heads");
        if (json.Integer("word_embed_proj_dim", width) is var embedded && embedded != width)
            throw json.Error($"word_embed_proj_dim is {embedded}, wanted hidden_size {width}: projections of embeddings are not computed");
        return new DecoderConfig
        {
            Family = Name,
            HiddenSize = width,
            IntermediateSize = json.Integer("ffn_dim"),
            LayerCount = json.Integer("num_hidden_layers"),
            HeadCount = heads,
            KeyValueHeadCount = heads,
            HeadWidth = heads > 0 ? width / heads : 0,
            VocabularySize = json.Integer("vocab_size"),
            ContextLength = json.Integer("max_position_embeddings", 2048),
            Positions = PositionKind.Learned,
            FirstPosition = 2,
            Norm = NormKind.Layer,
            Biases = BiasedParts.All,
            Gating = Gating.Plain,
            Activation = ReadActivation(json, "activation_function", "relu"),
            Head = json.Flag("tie_word_embeddings", true) ? HeadKind.Tied : HeadKind.Untied,
        };
    }

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config) => new()
    {
        ["hidden_size"] = config.HiddenSize,
        ["ffn_dim"] = config.IntermediateSize,
        ["num_hidden_layers"] = config.LayerCount,
        ["num_attention_heads"] = config.HeadCount,
        ["vocab_size"] = config.VocabularySize,
        ["max_position_embeddings"] = config.ContextLength,
        ["word_embed_proj_dim"] = config.HiddenSize,
        ["do_layer_norm_before"] = true,
        ["enable_bias"] = true,
        ["layer_norm_elementwise_affine"] = true,
        ["activation_function"] = WriteActivation(config.Activation),
    };

    /// <inheritdoc/>
    public override TensorPlace InFolder(string name, DecoderConfig config) => new(folder.Of(name));
}
