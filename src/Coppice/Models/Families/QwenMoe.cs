using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>What Qwen's mixtures share: which layers have experts, and their sizes.</summary>
abstract class QwenMoe : LlamaLike
{
    /// <summary>What llama.cpp takes a token's shares of; its files do not say.</summary>
    protected abstract ExpertShares GgufShares { get; }

    /// <summary>What all of the family have.</summary>
    protected abstract DecoderConfig Common(DecoderConfig config);

    /// <summary>The settings of the experts.</summary>
    protected static ExpertOptions ReadExperts(JsonFields json) => new()
    {
        Count = json.Integer("num_experts"),
        Chosen = json.Integer("num_experts_per_tok"),
        Width = json.Integer("moe_intermediate_size"),
        Shares = json.Flag("norm_topk_prob", false) ? ExpertShares.Chosen : ExpertShares.All,
        Step = json.Integer("decoder_sparse_step", 1),
        Plain = json.Has("mlp_only_layers") ? [.. json.Integers("mlp_only_layers")] : [],
    };

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        ExpertOptions experts = config.Experts!;
        JsonObject json = Sizes(config);
        json["use_sliding_window"] = false;
        json["num_experts"] = experts.Count;
        json["num_experts_per_tok"] = experts.Chosen;
        json["moe_intermediate_size"] = experts.Width;
        json["norm_topk_prob"] = experts.Shares == ExpertShares.Chosen;
        json["decoder_sparse_step"] = experts.Step;
        json["mlp_only_layers"] = new JsonArray([.. experts.Plain.Select(layer => JsonValue.Create(layer))]);
        return json;
    }

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file)
    {
        string prefix = GgufArchitecture + ".";
        int shared = file.Get(prefix + "expert_shared_feed_forward_length", 0);
        return Common(Sizes(file)) with
        {
            Experts = new ExpertOptions
            {
                Count = Experts.Count(file, prefix),
                Chosen = file.Get<int>(prefix + "expert_used_count"),
                Width = file.Get<int>(prefix + "expert_feed_forward_length"),
                SharedWidth = shared == 0 ? null : shared,
                Shares = GgufShares,
            },
        };
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config)
    {
        string prefix = GgufArchitecture + ".";
        foreach (KeyValuePair<string, object> pair in (IEnumerable<KeyValuePair<string, object>>)[.. base.Metadata(config), .. Experts.Metadata(config, prefix, GgufShares)])
            yield return pair;
        yield return new(prefix + "expert_feed_forward_length", (uint)config.Experts!.Width);
        if (config.Experts.SharedWidth is { } shared)
            yield return new(prefix + "expert_shared_feed_forward_length", (uint)shared);
    }

    /// <inheritdoc/>
    public override TensorPlace InGguf(string name, DecoderConfig config) => Experts.InGguf(name, config, plain => base.InGguf(plain, config));
}
