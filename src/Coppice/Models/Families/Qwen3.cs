using System.Text.Json.Nodes;
using Coppice.Formats;

namespace Coppice.Models.Families;

/// <summary>Qwen 3 (Yang et al. 2025): Llama with a norm of each query and key head.</summary>
sealed class Qwen3 : LlamaLike
{
    /// <inheritdoc/>
    public override string Name => "qwen3";

    /// <inheritdoc/>
    public override string ClassName => "Qwen3ForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "qwen3";

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        Expect(json, "use_sliding_window", false);
        Expect(json, "attention_bias", false);
        return Sizes(json, headWidth: 128, context: 32768) with { QueryKeyNorm = QueryKeyNorm.Head };
    }

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = Sizes(config);
        json["use_sliding_window"] = false;
        json["attention_bias"] = false;
        return json;
    }

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file) => Sizes(file) with { QueryKeyNorm = QueryKeyNorm.Head };
}
