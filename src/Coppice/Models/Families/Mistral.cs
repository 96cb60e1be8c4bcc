using System.Text.Json.Nodes;
using Coppice.Formats;

namespace Coppice.Models.Families;

/// <summary>Mistral (Jiang et al. 2023): Llama, with a window in the first version. llama.cpp knows it as Llama.</summary>
sealed class Mistral : LlamaLike
{
    /// <inheritdoc/>
    public override string Name => "mistral";

    /// <inheritdoc/>
    public override string ClassName => "MistralForCausalLM";

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json) => Sizes(json, context: 4096 * 32) with { Window = Window(json) };

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = Sizes(config);
        json["sliding_window"] = config.Window;
        return json;
    }
}
