using System.Text.Json.Nodes;
using Coppice.Formats;

namespace Coppice.Models.Families;

/// <summary>Gemma 3's text model (Gemma Team 2025): Gemma 2 with norms of query and key heads instead of soft caps, five windowed layers of six, and other frequencies in those.</summary>
sealed class Gemma3 : Gemma2
{
    const float LocalTheta = 10_000;

    /// <inheritdoc/>
    public override string Name => "gemma3_text";

    /// <inheritdoc/>
    public override string ClassName => "Gemma3ForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "gemma3";

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        int pattern = json.Integer("sliding_window_pattern", json.Integer("_sliding_window_pattern", 6));
        DecoderConfig config = Common(Sizes(json, headWidth: 256, tied: true, theta: 1_000_000, context: 131_072)) with
        {
            Activation = ReadActivation(json, "hidden_activation", "gelu_pytorch_tanh"),
            AttentionScale = (float)Math.Pow(json.Number("query_pre_attn_scalar", 256), -0.5),
            Window = json.Integer("sliding_window", 4096),
            WindowPattern = pattern,
            LocalRopeTheta = (float)json.Number("rope_local_base_freq", LocalTheta),
        };
        foreach (string cap in new[] { "attn_logit_softcapping", "final_logit_softcapping" })
            if (json.Has(cap))
                throw json.Error($"{cap} is set, which this family has not");
        Expect(json, "attention_bias", false);
        Expect(json, "use_bidirectional_attention", false);
        CheckLayerTypes(json, config);
        return config;
    }

    /// <inheritdoc/>
    protected override DecoderConfig Common(DecoderConfig config) => base.Common(config) with { QueryKeyNorm = QueryKeyNorm.Head, WindowPattern = 6, LocalRopeTheta = LocalTheta };

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = base.Write(config);
        json["sliding_window_pattern"] = config.WindowPattern;
        json["rope_local_base_freq"] = config.LocalRopeTheta;
        return json;
    }

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file) => base.Read(file) with
    {
        WindowPattern = file.Get("gemma3.attention.sliding_window_pattern", 6),
        LocalRopeTheta = file.Get("gemma3.rope.freq_base_swa", LocalTheta),
    };

    /// <inheritdoc/>
    protected override int? DefaultWindow => null;

    /// <inheritdoc/>
    protected override int LargestLayers => 62;

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config)
    {
        foreach (KeyValuePair<string, object> pair in base.Metadata(config))
            yield return pair;
        yield return new("gemma3.rope.freq_base_swa", config.LocalRopeTheta ?? LocalTheta);
        if (config.WindowPattern != 6)
            yield return new("gemma3.attention.sliding_window_pattern", (uint)config.WindowPattern);
    }
}
