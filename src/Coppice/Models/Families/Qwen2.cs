using System.Text.Json.Nodes;
using Coppice.Formats;

namespace Coppice.Models.Families;

/// <summary>Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases of queries, keys and values.</summary>
sealed class Qwen2 : LlamaLike
{
    /// <inheritdoc/>
    public override string Name => "qwen2";

    /// <inheritdoc/>
    public override string ClassName => "Qwen2ForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "qwen2";

    /// <inheritdoc/>
    public override bool GgufStoresHeadWidth => false;

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        Expect(json, "use_sliding_window", false);
        return Sizes(json, context: 32768) with { Biases = BiasedParts.QueryKeyValue };
    }

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = Sizes(config);
        json["use_sliding_window"] = false;
        return json;
    }

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file) => Sizes(file) with { Biases = BiasedParts.QueryKeyValue };
}
