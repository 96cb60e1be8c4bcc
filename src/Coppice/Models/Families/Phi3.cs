using System.Text.Json.Nodes;
using Coppice.Formats;

namespace Coppice.Models.Families;

/// <summary>Phi-3 (Abdin et al. 2024): Llama whose queries, keys and values are one matrix, and gate and up another.</summary>
sealed class Phi3 : LlamaLike
{
    /// <inheritdoc/>
    public override string Name => "phi3";

    /// <inheritdoc/>
    public override string ClassName => "Phi3ForCausalLM";

    /// <inheritdoc/>
    public override string GgufArchitecture => "phi3";

    /// <inheritdoc/>
    public override bool GgufStoresHeadWidth => false;

    /// <inheritdoc/>
    public override DecoderConfig Read(JsonFields json)
    {
        if (json.Number("partial_rotary_factor", 1) != 1)
            throw json.Error($"partial_rotary_factor is {json.Number("partial_rotary_factor")}, which this version cannot compute");
        return Sizes(json, context: 4096) with { Window = Window(json) };
    }

    /// <inheritdoc/>
    public override JsonObject Write(DecoderConfig config)
    {
        JsonObject json = Sizes(config);
        json["sliding_window"] = config.Window;
        return json;
    }

    /// <inheritdoc/>
    public override TensorPlace InFolder(string name, DecoderConfig config) => Fused(name, config, "qkv_proj", "gate_up_proj") ?? new TensorPlace(name);

    /// <inheritdoc/>
    public override DecoderConfig Read(Gguf file) => Sizes(file);

    /// <inheritdoc/>
    public override TensorPlace InGguf(string name, DecoderConfig config) => Fused(name, config, "q_proj", "up_proj") is { } fused
        ? fused with { Name = TensorNames.Gguf.Of(fused.Name).Replace("attn_q.", "attn_qkv.", StringComparison.Ordinal) }
        : base.InGguf(name, config);

    static TensorPlace? Fused(string name, DecoderConfig config, string qkv, string gateUp)
    {
        if (QueryKeyValueRows(name, config) is { } rows)
            return Renamed("self_attn", qkv).Part(rows.First, rows.Count, rows.All);
        bool isGate = name.Contains(".gate_proj.", StringComparison.Ordinal);
        return isGate || name.Contains(".up_proj.", StringComparison.Ordinal)
            ? Renamed("mlp", gateUp).Part(isGate ? 0 : config.IntermediateSize, config.IntermediateSize, 2 * config.IntermediateSize)
            : null;

        TensorPlace Renamed(string part, string fused) => new($"{name[..name.IndexOf(part, StringComparison.Ordinal)]}{part}.{fused}{name[name.LastIndexOf('.')..]}");
    }
}
