using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>Gemma 2 (Gemma Team 2024): norms on both sides, gains stored as distances from one, scaled embeddings, a GELU gate, soft caps, and a window in every other layer.</summary>
class Gemma2 : LlamaLike
{
    /// <inheritdoc/>
    public override string Name => "gemma2";

    /// <inheritdoc/>
    public override string ClassName => "Gemma2ForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "gemma2";

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        DecoderConfig config = Common(Sizes(json, headWidth: 256, tied: true, context: 8192)) with
        {
            Activation = ReadActivation(json, "hidden_activation", "gelu_pytorch_tanh"),
            AttentionScale = (float)Math.Pow(json.Number("query_pre_attn_scalar", 256), -0.5),
            AttentionSoftcap = Cap(json, "attn_logit_softcapping", 50),
            LogitSoftcap = Cap(json, "final_logit_softcapping", 30),
            Window = json.Integer("sliding_window", 4096),
        };
        Expect(json, "attention_bias", false);
        CheckLayerTypes(json, config);
        return config;
    }

    /// <summary>What all of the family have.</summary>
    protected virtual DecoderConfig Common(DecoderConfig config) => config with
    {
        NormPlacement = NormPlacement.Around,
        EmbeddingScale = MathF.Sqrt(config.HiddenSize),
        Activation = Activation.GeluTanh,
        WindowPattern = 2,
    };

    // An absent field has its usual value, a null one says that there is no cap.
    static float? Cap(JsonFields json, string field, double absent) => json.Has(field) ? (float)json.Number(field) : json.IsNull(field) ? null : (float)absent;

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = Sizes(config);
        json.Remove("hidden_act");
        json["hidden_activation"] = WriteActivation(config.Activation);
        json["query_pre_attn_scalar"] = Math.Round(Math.Pow(config.AttentionScale ?? 1 / MathF.Sqrt(config.HeadWidth), -2), 4);
        json["attn_logit_softcapping"] = config.AttentionSoftcap;
        json["final_logit_softcapping"] = config.LogitSoftcap;
        json["sliding_window"] = config.Window;
        json["attention_bias"] = false;
        return json;
    }

    /// <inheritdoc/>
    public override TensorPlace InFolder(string name, DecoderConfig config) => new(name) { Added = name.EndsWith("norm.weight", StringComparison.Ordinal) ? 1 : 0 };

    /// <inheritdoc/>
    public override TensorPlace InGguf(string name, DecoderConfig config) => new(NormsBehind.Of(name));

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file)
    {
        string prefix = GgufArchitecture + ".";
        DecoderConfig config = Common(Sizes(file)) with
        {
            Window = file.Metadata.ContainsKey(prefix + "attention.sliding_window") ? file.Get<int>(prefix + "attention.sliding_window") : DefaultWindow,
            AttentionSoftcap = Number("attn_logit_softcapping"),
            LogitSoftcap = Number("final_logit_softcapping"),
        };
        return config with { AttentionScale = GgufScale(config) };

        float? Number(string key) => file.Metadata.ContainsKey(prefix + key) ? file.Get<float>(prefix + key) : null;
    }

    /// <summary>The window that llama.cpp takes where the file has none.</summary>
    protected virtual int? DefaultWindow => 4096;

    /// <summary>Layers of the largest model, whose scale differs.</summary>
    protected virtual int LargestLayers => 46;

    // llama.cpp knows the scale by the number of layers.
    float GgufScale(DecoderConfig config) => 1 / MathF.Sqrt(config.LayerCount == LargestLayers ? config.HiddenSize / config.HeadCount : config.HeadWidth);

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config)
    {
        if (MathF.Abs((config.AttentionScale ?? 1 / MathF.Sqrt(config.HeadWidth)) / GgufScale(config) - 1) > 1e-5f)
            throw new CoppiceException($"llama.cpp scales attention in a {Name} model of {config.LayerCount} layers by {GgufScale(config)}, this model by {config.AttentionScale}");
        string prefix = GgufArchitecture + ".";
        foreach (KeyValuePair<string, object> pair in base.Metadata(config))
            yield return pair;
        if (config.Window is { } window)
            yield return new(prefix + "attention.sliding_window", (uint)window);
        if (config.AttentionSoftcap is { } attention)
            yield return new(prefix + "attn_logit_softcapping", attention);
        if (config.LogitSoftcap is { } logits)
            yield return new(prefix + "final_logit_softcapping", logits);
    }
}
