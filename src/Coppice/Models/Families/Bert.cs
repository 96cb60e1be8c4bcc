using System.Text.Json.Nodes;
using Coppice.Formats;

namespace Coppice.Models.Families;

/// <summary>BERT (Devlin et al. 2019), and the sentence encoders made from it: a table for the parts of a pair, a pooler over the first token.</summary>
class Bert : EncoderFamily
{
    static readonly TensorNames block = new("encoder.layer.",
        ("model.embed_tokens.", "embeddings.word_embeddings."), ("model.embed_positions.", "embeddings.position_embeddings."), ("model.embed_types.", "embeddings.token_type_embeddings."),
        ("model.embed_norm.", "embeddings.LayerNorm."), ("self_attn.q_proj.", "attention.self.query."), ("self_attn.k_proj.", "attention.self.key."), ("self_attn.v_proj.", "attention.self.value."),
        ("self_attn.o_proj.", "attention.output.dense."), ("post_attention_layernorm.", "attention.output.LayerNorm."), ("mlp.up_proj.", "intermediate.dense."), ("mlp.down_proj.", "output.dense."),
        ("post_feedforward_layernorm.", "output.LayerNorm."));

    /// <inheritdoc/>
    public override string Name => "bert";

    /// <inheritdoc/>
    public override string ClassPrefix => "Bert";

    /// <inheritdoc/>
    protected override EncoderConfig ReadSizes(JsonFields json)
    {
        if (json.Text("position_embedding_type", "absolute") is var positions && positions != "absolute")
            throw json.Error($"position_embedding_type is '{positions}', wanted absolute");
        if (json.Flag("is_decoder", false) || json.Flag("add_cross_attention", false))
            throw json.Error("is_decoder or add_cross_attention is true, which this version cannot compute");
        return new EncoderConfig
        {
            Family = Name,
            Task = EncoderTask.Embedding,
            HiddenSize = json.Integer("hidden_size"),
            IntermediateSize = json.Integer("intermediate_size"),
            LayerCount = json.Integer("num_hidden_layers"),
            HeadCount = json.Integer("num_attention_heads"),
            VocabularySize = json.Integer("vocab_size"),
            ContextLength = json.Integer("max_position_embeddings", 512),
            TypeCount = json.Integer("type_vocab_size", 2),
            Activation = Family.ReadActivation(json, "hidden_act", "gelu"),
            NormEpsilon = (float)json.Number("layer_norm_eps", 1e-12),
        };
    }

    /// <inheritdoc/>
    public override JsonObject Write(EncoderConfig config) => new()
    {
        ["hidden_size"] = config.HiddenSize,
        ["intermediate_size"] = config.IntermediateSize,
        ["num_hidden_layers"] = config.LayerCount,
        ["num_attention_heads"] = config.HeadCount,
        ["vocab_size"] = config.VocabularySize,
        ["max_position_embeddings"] = config.ContextLength + config.FirstPosition,
        ["type_vocab_size"] = config.TypeCount,
        ["hidden_act"] = Family.WriteActivation(config.Activation),
        ["layer_norm_eps"] = config.NormEpsilon,
        ["position_embedding_type"] = "absolute",
    };

    /// <inheritdoc/>
    public override TensorPlace InFolder(string name, EncoderConfig config) => new(name.StartsWith("head.", StringComparison.Ordinal) ? InHead(name, config) : Trunk(config) + block.Of(name));

    // A model without a task's head has its tensors at the top.
    string Trunk(EncoderConfig config) => config.Task == EncoderTask.Embedding ? "" : Name + ".";

    /// <summary>Where a folder keeps a tensor of the head.</summary>
    protected virtual string InHead(string name, EncoderConfig config) => (config.Task, name) switch
    {
        (EncoderTask.MaskedLanguage, "head.bias") => "cls.predictions.bias",
        (EncoderTask.MaskedLanguage, _) => name.Replace("head.dense", "cls.predictions.transform.dense", StringComparison.Ordinal).Replace("head.norm", "cls.predictions.transform.LayerNorm", StringComparison.Ordinal),
        _ => name.Replace("head.dense", Trunk(config) + "pooler.dense", StringComparison.Ordinal).Replace("head.out", "classifier", StringComparison.Ordinal),
    };

    /// <inheritdoc/>
    public override bool MayStay(string name, EncoderConfig config) =>
        name.EndsWith("embeddings.position_ids", StringComparison.Ordinal)
        || config.Task == EncoderTask.Embedding && name.StartsWith("cls.", StringComparison.Ordinal)
        || config.Task == EncoderTask.MaskedLanguage
            && (name is "cls.predictions.decoder.weight" or "cls.predictions.decoder.bias" || name.StartsWith("cls.seq_relationship.", StringComparison.Ordinal) || name.StartsWith("bert.pooler.", StringComparison.Ordinal));
}
