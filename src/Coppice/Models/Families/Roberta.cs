using System.Text.Json.Nodes;
using Coppice.Formats;

namespace Coppice.Models.Families;

/// <summary>RoBERTa (Liu et al. 2019): BERT whose table of positions begins behind the padding's row, with heads of its own.</summary>
sealed class Roberta : Bert
{
    /// <inheritdoc/>
    public override string Name => "roberta";

    /// <inheritdoc/>
    public override string ClassPrefix => "Roberta";

    /// <inheritdoc/>
    protected override EncoderConfig ReadSizes(JsonFields json)
    {
        EncoderConfig config = base.ReadSizes(json);
        int first = json.Integer("pad_token_id", 1) + 1;
        return config with { FirstPosition = first, ContextLength = config.ContextLength - first };
    }

    /// <inheritdoc/>
    public override JsonObject Write(EncoderConfig config)
    {
        JsonObject json = base.Write(config);
        json["pad_token_id"] = config.FirstPosition - 1;
        return json;
    }

    /// <inheritdoc/>
    protected override string InHead(string name, EncoderConfig config) => (config.Task, name) switch
    {
        (EncoderTask.MaskedLanguage, _) => name.Replace("head.dense", "lm_head.dense", StringComparison.Ordinal).Replace("head.norm", "lm_head.layer_norm", StringComparison.Ordinal).Replace("head.bias", "lm_head.bias", StringComparison.Ordinal),
        (EncoderTask.Classification, _) => name.Replace("head.dense", "classifier.dense", StringComparison.Ordinal).Replace("head.out", "classifier.out_proj", StringComparison.Ordinal),
        _ => base.InHead(name, config),
    };

    /// <inheritdoc/>
    public override bool MayStay(string name, EncoderConfig config) =>
        name.EndsWith("embeddings.position_ids", StringComparison.Ordinal)
        || config.Task == EncoderTask.Embedding && name.StartsWith("lm_head.", StringComparison.Ordinal)
        || config.Task != EncoderTask.Embedding && name.StartsWith("roberta.pooler.", StringComparison.Ordinal)
        || config.Task == EncoderTask.MaskedLanguage && name is "lm_head.decoder.weight" or "lm_head.decoder.bias";
}
