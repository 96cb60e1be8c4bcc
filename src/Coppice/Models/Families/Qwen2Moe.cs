using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>Qwen 1.5 and 2 with experts (Yang et al. 2024): Qwen 2 with many small ones, and one that all tokens take through a gate.</summary>
sealed class Qwen2Moe : QwenMoe
{
    /// <inheritdoc/>
    public override string Name => "qwen2_moe";

    /// <inheritdoc/>
    public override string ClassName => "Qwen2MoeForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "qwen2moe";

    /// <inheritdoc/>
    public override bool GgufStoresHeadWidth => false;

    /// <inheritdoc/>
    protected override ExpertShares GgufShares => ExpertShares.All;

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        Expect(json, "use_sliding_window", false);
        Expect(json, "qkv_bias", true);
        return Common(Sizes(json, context: 32768)) with { Experts = ReadExperts(json) with { SharedWidth = json.Integer("shared_expert_intermediate_size") } };
    }

    /// <inheritdoc/>
    protected override DecoderConfig Common(DecoderConfig config) => config with { Biases = BiasedParts.QueryKeyValue };

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = base.Write(config);
        json["shared_expert_intermediate_size"] = config.Experts!.SharedWidth;
        return json;
    }
}
