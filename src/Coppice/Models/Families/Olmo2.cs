using System.Text.Json.Nodes;
using Coppice.Formats;

namespace Coppice.Models.Families;

/// <summary>OLMo 2 (Team OLMo 2024): norms behind attention and feed-forward part only, and of all heads' queries and keys together.</summary>
sealed class Olmo2 : LlamaLike
{
    /// <inheritdoc/>
    public override string Name => "olmo2";

    /// <inheritdoc/>
    public override string ClassName => "Olmo2ForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "olmo2";

    /// <inheritdoc/>
    public override bool GgufStoresHeadWidth => false;

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        Expect(json, "attention_bias", false);
        return Common(Sizes(json));
    }

    static DecoderConfig Common(DecoderConfig config) => config with { NormPlacement = NormPlacement.After, QueryKeyNorm = QueryKeyNorm.Row };

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = Sizes(config);
        json["attention_bias"] = false;
        return json;
    }

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file) => Common(Sizes(file));

    /// <inheritdoc/>
    public override TensorPlace InGguf(string name, DecoderConfig config) => new(NormsBehind.Of(name));
}
