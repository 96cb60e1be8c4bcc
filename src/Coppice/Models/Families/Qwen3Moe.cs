using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>Qwen 3 with experts (Yang et al. 2025): all alike, none that all tokens take.</summary>
sealed class Qwen3Moe : QwenMoe
{
    /// <inheritdoc/>
    public override string Name => "qwen3_moe";

    /// <inheritdoc/>
    public override string ClassName => "Qwen3MoeForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "qwen3moe";

    /// <inheritdoc/>
    protected override ExpertShares GgufShares => ExpertShares.Chosen;

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        Expect(json, "use_sliding_window", false);
        Expect(json, "attention_bias", false);
        return Common(Sizes(json, context: 32768)) with { Experts = ReadExperts(json) };
    }

    /// <inheritdoc/>
    protected override DecoderConfig Common(DecoderConfig config) => config with { QueryKeyNorm = QueryKeyNorm.Head };
}
