using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>DistilBERT (Sanh et al. 2019): half of BERT's layers, no parts of a pair, no pooler, ReLU in the classifier.</summary>
sealed class DistilBert : EncoderFamily
{
    static readonly TensorNames block = new("transformer.layer.",
        ("model.embed_tokens.", "embeddings.word_embeddings."), ("model.embed_positions.", "embeddings.position_embeddings."), ("model.embed_norm.", "embeddings.LayerNorm."),
        ("self_attn.q_proj.", "attention.q_lin."), ("self_attn.k_proj.", "attention.k_lin."), ("self_attn.v_proj.", "attention.v_lin."), ("self_attn.o_proj.", "attention.out_lin."),
        ("post_attention_layernorm.", "sa_layer_norm."), ("mlp.up_proj.", "ffn.lin1."), ("mlp.down_proj.", "ffn.lin2."), ("post_feedforward_layernorm.", "output_layer_norm."));

    /// <inheritdoc/>
    public override string Name => "distilbert";

    /// <inheritdoc/>
    public override string ClassPrefix => "DistilBert";

    /// <inheritdoc/>
    protected override EncoderConfig ReadSizes(JsonFields json) => new()
    {
        Family = Name,
        Task = EncoderTask.Embedding,
        HiddenSize = json.Integer("dim"),
        IntermediateSize = json.Integer("hidden_dim"),
        LayerCount = json.Integer("n_layers"),
        HeadCount = json.Integer("n_heads"),
        VocabularySize = json.Integer("vocab_size"),
        ContextLength = json.Integer("max_position_embeddings", 512),
        Activation = Family.ReadActivation(json, "activation", "gelu"),
        PoolerActivation = Activation.Relu,
        NormEpsilon = 1e-12f,
    };

    /// <inheritdoc/>
    public override JsonObject Write(EncoderConfig config) => new()
    {
        ["dim"] = config.HiddenSize,
        ["hidden_dim"] = config.IntermediateSize,
        ["n_layers"] = config.LayerCount,
        ["n_heads"] = config.HeadCount,
        ["vocab_size"] = config.VocabularySize,
        ["max_position_embeddings"] = config.ContextLength,
        ["activation"] = Family.WriteActivation(config.Activation),
    };

    /// <inheritdoc/>
    public override TensorPlace InFolder(string name, EncoderConfig config)
    {
        if (!name.StartsWith("head.", StringComparison.Ordinal))
            return new((config.Task == EncoderTask.Embedding ? "" : "distilbert.") + block.Of(name));
        return new(config.Task == EncoderTask.MaskedLanguage
            ? name.Replace("head.dense", "vocab_transform", StringComparison.Ordinal).Replace("head.norm", "vocab_layer_norm", StringComparison.Ordinal).Replace("head.bias", "vocab_projector.bias", StringComparison.Ordinal)
            : name.Replace("head.dense", "pre_classifier", StringComparison.Ordinal).Replace("head.out", "classifier", StringComparison.Ordinal));
    }

    /// <inheritdoc/>
    public override bool MayStay(string name, EncoderConfig config) =>
        name.EndsWith("embeddings.position_ids", StringComparison.Ordinal)
        || name == "vocab_projector.weight"
        || config.Task == EncoderTask.Embedding && name.StartsWith("vocab_", StringComparison.Ordinal);
}
