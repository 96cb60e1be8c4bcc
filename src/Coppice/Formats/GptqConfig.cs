using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>How a GPTQ file's zero points are meant.</summary>
public enum GptqVersion
{
    /// <summary><c>gptq</c>: one less than the zero point is stored.</summary>
    V1,

    /// <summary><c>gptq_v2</c>: the zero point itself.</summary>
    V2,
}

/// <summary>Layers of a GPTQ model that differ from the rest, by <c>dynamic</c>'s pattern on their names.</summary>
/// <param name="Pattern">Matched from the name's start on.</param>
/// <param name="Bits">Bits of a code, or null for those of the rest.</param>
/// <param name="GroupSize">Inputs that share a scale, <see cref="IntWeight.WholeRow"/>, or null for that of the rest.</param>
public sealed record GptqOverride(string Pattern, int? Bits, int? GroupSize)
{
    readonly Regex regex = new($"^(?:{Pattern})", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);

    internal bool Covers(string module) => regex.IsMatch(module);
}

/// <summary>What <c>quantization_config</c> of a GPTQ model's config.json, or an older quantize_config.json, says.</summary>
/// <param name="Bits">Bits of a code: 2, 3, 4 or 8.</param>
/// <param name="GroupSize">Inputs that share a scale, or <see cref="IntWeight.WholeRow"/>.</param>
/// <param name="Symmetric">Whether every zero point is 2^(bits - 1).</param>
/// <param name="ActOrder">Whether inputs were grouped in the order of activations (<c>desc_act</c>).</param>
/// <param name="Version">How zero points are meant.</param>
public sealed record GptqConfig(int Bits, int GroupSize, bool Symmetric, bool ActOrder, GptqVersion Version)
{
    internal const string Method = "gptq";

    /// <summary>Layers that differ.</summary>
    public ImmutableArray<GptqOverride> Overrides { get; init; } = [];

    /// <summary>Linear layers that are not quantized, by name.</summary>
    public ImmutableArray<string> Ignore { get; init; } = [];

    /// <summary>Whether the head is quantized.</summary>
    public bool Head { get; init; }

    /// <summary>Programs that wrote the model, as <c>name:version</c>.</summary>
    internal ImmutableArray<string> Quantizers { get; init; } = [];

    /// <summary>Bits and group size of one layer.</summary>
    internal (int Bits, int GroupSize) For(string module)
    {
        GptqOverride? found = Overrides.FirstOrDefault(item => item.Covers(module));
        return (found?.Bits ?? Bits, found?.GroupSize ?? GroupSize);
    }

    /// <summary>The object to put into config.json under <see cref="CompressionConfig.Key"/>.</summary>
    public JsonObject ToJson()
    {
        JsonObject dynamic = [];
        foreach (GptqOverride item in Overrides)
        {
            JsonObject values = [];
            if (item.Bits is { } bits)
                values["bits"] = bits;
            if (item.GroupSize is { } size)
                values["group_size"] = size;
            dynamic["+:" + item.Pattern] = values;
        }
        foreach (string module in Ignore)
            dynamic[$"-:{Regex.Escape(module)}$"] = new JsonObject();
        JsonObject json = new()
        {
            ["bits"] = Bits,
            ["checkpoint_format"] = Version == GptqVersion.V1 ? "gptq" : "gptq_v2",
            ["desc_act"] = ActOrder,
            ["group_size"] = GroupSize,
            ["lm_head"] = Head,
            ["pack_dtype"] = "int32",
            ["quant_method"] = Method,
            ["sym"] = Symmetric,
        };
        if (dynamic.Count > 0)
            json["dynamic"] = dynamic;
        return json;
    }

    /// <summary>Reads the object.</summary>
    /// <exception cref="CoppiceException">It asks for something that is not read.</exception>
    public static GptqConfig Parse(string path, JsonElement element)
    {
        JsonFields json = new(path, element);
        // One key's two names over time.
        string format = json.Text("checkpoint_format", json.Text("format", "gptq")), packed = json.Text("pack_dtype", "int32");
        if (format is not ("gptq" or "gptq_v2") || json.Flag("is_marlin_format", false))
            throw json.Error($"{CompressionConfig.Key}: checkpoint_format is '{(format is "gptq" or "gptq_v2" ? "marlin" : format)}', wanted gptq or gptq_v2");
        if (packed is not ("int32" or "torch.int32"))
            throw json.Error($"{CompressionConfig.Key}: pack_dtype is '{packed}', wanted int32");
        return new GptqConfig(CheckBits(json, json.Integer("bits")), CheckGroupSize(json, json.Integer("group_size", IntWeight.WholeRow)),
            json.Flag("sym", true), json.Flag("desc_act", false), format == "gptq" ? GptqVersion.V1 : GptqVersion.V2)
        {
            Overrides = json.Has("dynamic") ? ParseDynamic(json, element.GetProperty("dynamic")) : [],
            Head = json.Flag("lm_head", false),
            Quantizers = json.Has("meta") && json.Object("meta").Has("quantizer") ? Texts(element.GetProperty("meta").GetProperty("quantizer")) : [],
        };
    }

    // Layers behind "-:" are not quantized, which their tensors say as well.
    static ImmutableArray<GptqOverride> ParseDynamic(JsonFields json, JsonElement dynamic)
    {
        if (dynamic.ValueKind != JsonValueKind.Object)
            throw json.Error($"{CompressionConfig.Key}: 'dynamic' is a {dynamic.ValueKind}, wanted an object");
        ImmutableArray<GptqOverride>.Builder overrides = ImmutableArray.CreateBuilder<GptqOverride>();
        foreach (JsonProperty property in dynamic.EnumerateObject())
        {
            if (property.Name.StartsWith("-:", StringComparison.Ordinal))
                continue;
            JsonFields values = new(json.Path, property.Value);
            string pattern = property.Name.StartsWith("+:", StringComparison.Ordinal) ? property.Name[2..] : property.Name;
            try
            {
                overrides.Add(new GptqOverride(pattern, values.Has("bits") ? CheckBits(values, values.Integer("bits")) : null,
                    values.Has("group_size") ? CheckGroupSize(values, values.Integer("group_size")) : null));
            }
            catch (Exception error) when (error is ArgumentException or NotSupportedException)
            {
                throw FormatError.At(json.Path, $"{CompressionConfig.Key}: dynamic has '{pattern}', which is no pattern that we read: {error.Message}", error);
            }
        }
        return overrides.DrainToImmutable();
    }

    static int CheckBits(JsonFields json, int bits) => bits is 2 or 3 or 4 or 8 ? bits : throw json.Error($"{CompressionConfig.Key}: bits is {bits}, wanted 2, 3, 4 or 8");

    static int CheckGroupSize(JsonFields json, int size) =>
        size is > 0 or IntWeight.WholeRow ? size : throw json.Error($"{CompressionConfig.Key}: group_size is {size}, wanted a positive number or -1");

    static ImmutableArray<string> Texts(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => [element.GetString()!],
        JsonValueKind.Array => [.. element.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString()!)],
        _ => [],
    };
}
