using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>A set of linear layers whose weights are quantized alike.</summary>
/// <param name="Bits">Bits of a code.</param>
/// <param name="GroupSize">Inputs that share a scale, or <see cref="Weights.IntWeight.WholeRow"/>.</param>
/// <param name="Symmetric">Whether there are no zero points.</param>
/// <param name="Targets">Layers by name, by <c>re:</c> and a regular expression, or <c>Linear</c> for all.</param>
public sealed record CompressionGroup(int Bits, int GroupSize, bool Symmetric, ImmutableArray<string> Targets)
{
    /// <summary>Whether a layer is named, or all are.</summary>
    internal bool Covers(string module) => Targets.Any(target => target == module || target == "Linear"
        || target.StartsWith("re:", StringComparison.Ordinal) && Pattern(target).IsMatch(module));

    // Without backtracking no pattern from a file takes more than linear time.
    internal static Regex Pattern(string target) => new($"^(?:{target["re:".Length..]})", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
}

/// <summary>What <c>quantization_config</c> in a compressed-tensors model's config.json says.</summary>
/// <param name="Groups">Quantized layers.</param>
/// <param name="Ignore">Layers that a group's targets would cover but that are not quantized.</param>
/// <param name="SparseFormat">The legacy sparse layout, <c>sparse-bitmask</c> or <c>sparse-24-bitmask</c>, or null.</param>
/// <param name="Sparsity">The share of zeros in the sparse matrices, 0 to 1.</param>
public sealed record CompressionConfig(ImmutableArray<CompressionGroup> Groups, ImmutableArray<string> Ignore, string? SparseFormat, double Sparsity)
{
    /// <summary>The key in config.json.</summary>
    public const string Key = "quantization_config";

    // What the key was called before Transformers took it over.
    internal const string OldKey = "compression_config";

    internal const string Method = "compressed-tensors";

    const string Version = "0.18.0", PackQuantized = "pack-quantized";

    /// <summary>The object to put into config.json under <see cref="Key"/>.</summary>
    public JsonObject ToJson()
    {
        JsonObject json = new() { ["quant_method"] = Method, ["version"] = Version };
        if (Groups.Length > 0)
        {
            JsonObject groups = [];
            for (int i = 0; i < Groups.Length; i++)
                groups[$"group_{i}"] = GroupToJson(Groups[i]);
            json["config_groups"] = groups;
            json["format"] = PackQuantized;
            json["global_compression_ratio"] = null;
            json["ignore"] = Texts(Ignore);
            json["kv_cache_scheme"] = null;
            json["quantization_status"] = "compressed";
        }
        if (SparseFormat is not null)
            json["sparsity_config"] = new JsonObject
            {
                ["format"] = SparseFormat,
                ["global_sparsity"] = Sparsity,
                ["ignore"] = Groups.Length == 0 ? Texts(Ignore) : new JsonArray(),
                ["sparsity_structure"] = SparseFormat == CompressedTensors.Sparse24Bitmask ? "2:4" : "unstructured",
                ["targets"] = Texts(["Linear"]),
            };
        return json;
    }

    /// <summary>Reads the object.</summary>
    /// <exception cref="CoppiceException">It is of another method, or asks for something that is not read.</exception>
    public static CompressionConfig Parse(string path, JsonElement json)
    {
        try
        {
            string? method = json.GetProperty("quant_method").GetString();
            if (method != Method)
                throw FormatError.At(path, $"{Key}: the model is stored by '{method}', wanted {Method}");
            List<CompressionGroup> groups = [];
            if (Find(json, "config_groups") is JsonElement found)
                foreach (JsonProperty group in found.EnumerateObject())
                    groups.Add(ParseGroup(path, group));
            JsonElement? sparsity = Find(json, "sparsity_config");
            string? sparse = sparsity is JsonElement s ? Find(s, "format")?.GetString() : null;
            if (sparse is not (null or "dense" or CompressedTensors.SparseBitmask or CompressedTensors.Sparse24Bitmask))
                throw FormatError.At(path, $"{Key}: the sparse format '{sparse}' is not read; wanted {CompressedTensors.SparseBitmask} or {CompressedTensors.Sparse24Bitmask}");
            return new CompressionConfig([.. groups], Find(json, "ignore") is JsonElement ignore ? ParseTexts(ignore) : [], sparse == "dense" ? null : sparse,
                sparsity is JsonElement t && Find(t, "global_sparsity") is JsonElement share ? share.GetDouble() : 0);
        }
        catch (Exception error) when (error is KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw FormatError.At(path, $"{Key} is not what compressed-tensors wants: {error.Message}", error);
        }
    }

    static JsonObject GroupToJson(CompressionGroup group) => new()
    {
        ["format"] = PackQuantized,
        ["input_activations"] = null,
        ["output_activations"] = null,
        ["targets"] = Texts(group.Targets),
        ["weights"] = new JsonObject
        {
            ["actorder"] = null,
            ["block_structure"] = null,
            ["dynamic"] = false,
            ["group_size"] = group.GroupSize == Weights.IntWeight.WholeRow ? null : group.GroupSize,
            ["num_bits"] = group.Bits,
            ["observer"] = "minmax",
            ["observer_kwargs"] = new JsonObject(),
            ["strategy"] = group.GroupSize == Weights.IntWeight.WholeRow ? "channel" : "group",
            ["symmetric"] = group.Symmetric,
            ["type"] = "int",
        },
    };

    static CompressionGroup ParseGroup(string path, JsonProperty group)
    {
        CoppiceException Refuse(string what) => FormatError.At(path, $"{Key}: {group.Name} {what}");
        JsonElement weights = Find(group.Value, "weights") ?? throw Refuse("quantizes no weights");
        string? type = Find(weights, "type")?.GetString() ?? "int", strategy = Find(weights, "strategy")?.GetString(), order = Find(weights, "actorder") is { ValueKind: JsonValueKind.String } o ? o.GetString() : null;
        int bits = Find(weights, "num_bits")?.GetInt32() ?? 8;
        if (type != "int" || bits is < 2 or > 8)
            throw Refuse($"stores weights as {type} of {bits} bits, wanted int of 2 to 8");
        if (Find(group.Value, "input_activations") is not null)
            throw Refuse("quantizes activations, which is not read");
        if (order is "group" or "dynamic")
            throw Refuse("orders groups by activation (weight_g_idx), which is not read; wanted actorder weight or null");
        int? size = Find(weights, "group_size")?.GetInt32();
        int groupSize = strategy switch
        {
            "group" when size > 0 => size.Value,
            "channel" => Weights.IntWeight.WholeRow,
            null when size is > 0 or Weights.IntWeight.WholeRow => size.Value,
            _ => throw Refuse($"has strategy '{strategy}' with groups of {size}, wanted group or channel"),
        };
        bool symmetric = Find(weights, "symmetric")?.GetBoolean() ?? true;
        ImmutableArray<string> targets = ParseTexts(group.Value.GetProperty("targets"));
        foreach (string target in targets.Where(target => target.StartsWith("re:", StringComparison.Ordinal)))
            try
            {
                CompressionGroup.Pattern(target);
            }
            catch (Exception error) when (error is ArgumentException or NotSupportedException)
            {
                throw Refuse($"has the target '{target}', which is no pattern that we read: {error.Message}");
            }
        return new CompressionGroup(bits, groupSize, symmetric, targets);
    }

    static JsonElement? Find(JsonElement json, string key) => json.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    static ImmutableArray<string> ParseTexts(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetString()!)];

    static JsonArray Texts(IEnumerable<string> texts) => new([.. texts.Select(text => (JsonNode?)JsonValue.Create(text))]);
}
