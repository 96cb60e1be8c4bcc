using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models.Families;

/// <summary>Mixtral (Jiang et al. 2024): Mistral with experts, of which each token takes two. llama.cpp knows it as Llama with experts.</summary>
sealed class Mixtral : LlamaLike
{
    /// <inheritdoc/>
    public override string Name => "mixtral";

    /// <inheritdoc/>
    public override string ClassName => "MixtralForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "llama";

    /// <inheritdoc/>
    public override bool Reads(Gguf file) => base.Reads(file) && Experts.Count(file, "llama.") > 0;

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        DecoderConfig config = Sizes(json, theta: 1_000_000, context: 4096 * 32);
        return config with
        {
            Window = Window(json),
            Experts = new ExpertOptions { Count = json.Integer("num_local_experts", 8), Chosen = json.Integer("num_experts_per_tok", 2), Width = config.IntermediateSize },
        };
    }

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = Sizes(config);
        json["sliding_window"] = config.Window;
        json["num_local_experts"] = config.Experts!.Count;
        json["num_experts_per_tok"] = config.Experts.Chosen;
        return json;
    }

    /// <inheritdoc/>
    public override TensorPlace InFolder(string name, DecoderConfig config) => new(name.Replace(".mlp.", ".block_sparse_moe.", StringComparison.Ordinal)
        .Replace(".gate_proj.", ".w1.", StringComparison.Ordinal).Replace(".down_proj.", ".w2.", StringComparison.Ordinal).Replace(".up_proj.", ".w3.", StringComparison.Ordinal));

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file)
    {
        DecoderConfig config = Sizes(file);
        return config with { Experts = new ExpertOptions { Count = Experts.Count(file, "llama."), Chosen = file.Get<int>("llama.expert_used_count"), Width = config.IntermediateSize } };
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, object>> Metadata(DecoderConfig config) => [.. base.Metadata(config), .. Experts.Metadata(config, "llama.", ExpertShares.Chosen)];

    /// <inheritdoc/>
    public override TensorPlace InGguf(string name, DecoderConfig config) => Experts.InGguf(name, config, plain => Llama.Neighbours(base.InGguf(plain, config), plain, config));
}
