using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>What <c>quantization_config</c> of an AWQ model's config.json, or an older quant_config.json, says. Codes have 4 bits, zero points are always there.</summary>
/// <param name="GroupSize">Inputs that share a scale, or <see cref="IntWeight.WholeRow"/>.</param>
/// <param name="Ignore">Linear layers that are not quantized.</param>
public sealed record AwqConfig(int GroupSize, ImmutableArray<string> Ignore)
{
    internal const string Method = "awq";

    internal const int Bits = 4;

    /// <summary>The object to put into config.json under <see cref="CompressionConfig.Key"/>.</summary>
    public JsonObject ToJson() => new()
    {
        ["bits"] = Bits,
        ["group_size"] = GroupSize,
        ["modules_to_not_convert"] = Ignore.IsEmpty ? null : new JsonArray([.. Ignore.Select(module => (JsonNode?)JsonValue.Create(module))]),
        ["quant_method"] = Method,
        ["version"] = "gemm",
        ["zero_point"] = true,
    };

    /// <summary>Reads the object.</summary>
    /// <exception cref="CoppiceException">It asks for something that is not read.</exception>
    public static AwqConfig Parse(string path, JsonElement element)
    {
        JsonFields json = new(path, element);
        string version = json.Text("version", "gemm");
        int bits = json.Integer("bits", json.Integer("w_bit", Bits)), groupSize = json.Integer("group_size", json.Integer("q_group_size", 128));
        if (!version.Equals("gemm", StringComparison.OrdinalIgnoreCase))
            throw json.Error($"{CompressionConfig.Key}: version is '{version}', wanted gemm");
        if (bits != Bits)
            throw json.Error($"{CompressionConfig.Key}: bits is {bits}, wanted {Bits}");
        if (groupSize is < 1 and not IntWeight.WholeRow)
            throw json.Error($"{CompressionConfig.Key}: group_size is {groupSize}, wanted a positive number or -1");
        if (!json.Flag("zero_point", true))
            throw json.Error($"{CompressionConfig.Key}: zero_point is false, wanted true");
        return new AwqConfig(groupSize, Ignored(json, element));
    }

    static ImmutableArray<string> Ignored(JsonFields json, JsonElement element)
    {
        if (!json.Has("modules_to_not_convert"))
            return [];
        JsonElement array = element.GetProperty("modules_to_not_convert");
        return array.ValueKind == JsonValueKind.Array && array.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String)
            ? [.. array.EnumerateArray().Select(item => item.GetString()!)]
            : throw json.Error($"{CompressionConfig.Key}: modules_to_not_convert is no list of texts");
    }
}
