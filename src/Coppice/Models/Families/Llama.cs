using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>Llama (Touvron et al. 2023), 2 and 3, and SmolLM: rotary positions, RMS norms, a SiLU gate.</summary>
sealed class Llama : LlamaLike
{
    /// <inheritdoc/>
    public override string Name => "llama";

    /// <inheritdoc/>
    public override string ClassName => "LlamaForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "llama";

    /// <inheritdoc/>
    public override bool Reads(Gguf file) => base.Reads(file) && Experts.Count(file, "llama.") == 0;

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json) => Sizes(json) with
    {
        Biases = (json.Flag("attention_bias", false) ? BiasedParts.QueryKeyValue | BiasedParts.AttentionOutput : 0) | (json.Flag("mlp_bias", false) ? BiasedParts.FeedForward : 0),
    };

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = Sizes(config);
        json["attention_bias"] = (config.Biases & BiasedParts.QueryKeyValue) != 0;
        json["mlp_bias"] = (config.Biases & BiasedParts.FeedForward) != 0;
        return json;
    }

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file) => Sizes(file) with
    {
        Biases = (file.Names.Contains("blk.0.attn_q.bias") ? BiasedParts.QueryKeyValue : 0) | (file.Names.Contains("blk.0.attn_output.bias") ? BiasedParts.AttentionOutput : 0)
            | (file.Names.Contains("blk.0.ffn_up.bias") ? BiasedParts.FeedForward : 0),
    };

    /// <inheritdoc/>
    public override TensorPlace InGguf(string name, DecoderConfig config) => Neighbours(new TensorPlace(TensorNames.Gguf.Of(name)), name, config);

    /// <summary>The same place with the rows of queries and keys in llama.cpp's order: rotary pairs side by side.</summary>
    internal static TensorPlace Neighbours(TensorPlace place, string name, DecoderConfig config)
    {
        int heads = name.Contains(".q_proj.", StringComparison.Ordinal) ? config.HeadCount : name.Contains(".k_proj.", StringComparison.Ordinal) ? config.KeyValueHeadCount : 0;
        return heads == 0 ? place : place with { Rows = RotaryLayout.FromNeighbours(heads, config.HeadWidth), StoredRows = heads * config.HeadWidth };
    }
}
