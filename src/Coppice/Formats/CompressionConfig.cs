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
    /// <summary>How codes are laid out. For reading the tensors themselves tell.</summary>
    public CompressionFormat Format { get; init; }

    /// <summary>Whether inputs are grouped out of order (<c>weight_g_idx</c>).</summary>
    public bool ActOrder { get; init; }

    /// <summary>Whether one scale stands for a whole matrix, where <see cref="GroupSize"/> is <see cref="Weights.IntWeight.WholeRow"/>.</summary>
    public bool IsPerTensor { get; init; }

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

    // The version that is written, and the first whose codes are dense streams.
    const string Version = "0.18.0";

    // The older and newer names of the keys; readers reject what they do not know.
    static readonly string[] Keys = ["quant_method", "version", "config_groups", "format", "global_compression_ratio", "ignore", "kv_cache_scheme", "quantization_status", "sparsity_config", "transform_config", "run_compressed"];
    static readonly string[] GroupKeys = ["targets", "weights", "input_activations", "output_activations", "format"];
    static readonly string[] WeightKeys = ["num_bits", "type", "symmetric", "group_size", "strategy", "block_structure", "dynamic", "actorder", "scale_dtype", "zp_dtype", "observer", "observer_kwargs"];
    static readonly string[] SparsityKeys = ["format", "global_sparsity", "ignore", "registry_requires_subclass", "sparsity_structure", "targets"];

    /// <summary>Whether codes of 3, 5, 6 and 7 bits are dense streams, as from version 0.18 on, where a tensor's size leaves it open.</summary>
    public bool DenseStreams { get; init; } = true;

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
            json["format"] = Groups.All(group => group.Format == Groups[0].Format) ? Groups[0].Format.Name() : "mixed-precision";
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
            CheckKeys(path, json, "", Keys);
            foreach (string key in (ReadOnlySpan<string>)["kv_cache_scheme", "transform_config"])
                if (Find(json, key) is JsonElement set && !(set.ValueKind == JsonValueKind.Object && !set.EnumerateObject().Any()))
                    throw FormatError.At(path, $"{Key}: {key} is set, which is not read");
            List<CompressionGroup> groups = [];
            if (Find(json, "config_groups") is JsonElement found)
                foreach (JsonProperty group in found.EnumerateObject())
                    groups.Add(ParseGroup(path, group, Find(json, "format")?.GetString()));
            JsonElement? sparsity = Find(json, "sparsity_config");
            if (sparsity is JsonElement keys)
                CheckKeys(path, keys, "sparsity_config ", SparsityKeys);
            string? sparse = sparsity is JsonElement s ? Find(s, "format")?.GetString() : null;
            if (sparse is not (null or "dense" or CompressedTensors.SparseBitmask or CompressedTensors.Sparse24Bitmask))
                throw FormatError.At(path, $"{Key}: the sparse format '{sparse}' is not read; wanted {CompressedTensors.SparseBitmask} or {CompressedTensors.Sparse24Bitmask}");
            return new CompressionConfig([.. groups], Find(json, "ignore") is JsonElement ignore ? ParseTexts(ignore) : [], sparse == "dense" ? null : sparse,
                sparsity is JsonElement t && Find(t, "global_sparsity") is JsonElement share ? share.GetDouble() : 0)
            {
                DenseStreams = HasDenseStreams(Find(json, "version")?.GetString()),
            };
        }
        catch (Exception error) when (error is KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw FormatError.At(path, $"{Key} is not what compressed-tensors wants: {error.Message}", error);
        }
    }

    // A file of no version is an old one.
    static bool HasDenseStreams(string? version)
    {
        string[] parts = version?.Split('.') ?? [];
        return parts.Length >= 2 && int.TryParse(parts[0], out int major) && int.TryParse(parts[1], out int minor) && (major, minor).CompareTo((0, 18)) >= 0;
    }

    static JsonObject GroupToJson(CompressionGroup group) => new()
    {
        ["format"] = group.Format.Name(),
        // Readers multiply signed bytes by inputs that they round to bytes as well, and know no other way.
        ["input_activations"] = group.Format == CompressionFormat.IntQuantized ? Scheme(group, 8, "token", true, null) : null,
        ["output_activations"] = null,
        ["targets"] = Texts(group.Targets),
        ["weights"] = Scheme(group, group.Bits, group.IsPerTensor ? "tensor" : group.GroupSize == Weights.IntWeight.WholeRow ? "channel" : "group", group.Symmetric,
            group.GroupSize == Weights.IntWeight.WholeRow ? null : group.GroupSize),
    };

    static JsonObject Scheme(CompressionGroup group, int bits, string strategy, bool symmetric, int? groupSize) => new()
    {
        ["actorder"] = group.ActOrder ? "group" : null,
        ["block_structure"] = null,
        ["dynamic"] = strategy == "token",
        ["group_size"] = groupSize,
        ["num_bits"] = bits,
        ["observer"] = strategy == "token" ? null : "minmax",
        ["observer_kwargs"] = new JsonObject(),
        ["strategy"] = strategy,
        ["symmetric"] = symmetric,
        ["type"] = group.Format == CompressionFormat.FloatQuantized ? "float" : "int",
    };

    static CompressionGroup ParseGroup(string path, JsonProperty group, string? modelFormat)
    {
        CoppiceException Refuse(string what) => FormatError.At(path, $"{Key}: {group.Name} {what}");
        CheckKeys(path, group.Value, group.Name + " ", GroupKeys);
        JsonElement weights = Find(group.Value, "weights") ?? throw Refuse("quantizes no weights");
        CheckKeys(path, weights, group.Name + " weights ", WeightKeys);
        string? type = Find(weights, "type")?.GetString() ?? "int", strategy = Find(weights, "strategy")?.GetString();
        string format = Find(group.Value, "format")?.GetString() ?? modelFormat ?? "dense";
        bool order = Find(weights, "actorder") is { } o && (o.ValueKind == JsonValueKind.True || o.ValueKind == JsonValueKind.String && o.GetString() is "group" or "dynamic");
        int bits = Find(weights, "num_bits")?.GetInt32() ?? 8;
        if (!(type == "int" && bits is >= 1 and <= 8 || type == "float" && bits == 8))
            throw Refuse($"stores weights as {type} of {bits} bits, wanted int of 1 to 8 or float of 8");
        // Plain names stand for what tensors tell by themselves.
        if (CompressionFormats.Find(format) is null && format is not ("dense" or "fakequant" or "mixed-precision"))
            throw Refuse($"is stored as '{format}', which is not read");
        int? size = Find(weights, "group_size")?.GetInt32();
        int groupSize = strategy switch
        {
            "group" when size > 0 => size.Value,
            "channel" or "tensor" => Weights.IntWeight.WholeRow,
            null when size is > 0 or Weights.IntWeight.WholeRow => size.Value,
            null when size is null => Weights.IntWeight.WholeRow,
            _ => throw Refuse($"has strategy '{strategy}' with groups of {size}, wanted group, channel or tensor"),
        };
        if (type == "float" && groupSize != Weights.IntWeight.WholeRow)
            throw Refuse($"has floating-point weights in groups of {groupSize}, wanted strategy channel or tensor");
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
        return new CompressionGroup(bits, groupSize, symmetric, targets)
        {
            Format = CompressionFormats.Find(format) ?? CompressionFormat.NaiveQuantized,
            ActOrder = order,
            IsPerTensor = strategy == "tensor" || strategy is null && size is null,
        };
    }

    static void CheckKeys(string path, JsonElement json, string where, string[] known)
    {
        foreach (JsonProperty property in json.EnumerateObject())
            if (!known.Contains(property.Name))
                throw FormatError.At(path, $"{Key}: {where}has the key '{property.Name}', which is not known");
    }

    static JsonElement? Find(JsonElement json, string key) => json.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    static ImmutableArray<string> ParseTexts(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetString()!)];

    static JsonArray Texts(IEnumerable<string> texts) => new([.. texts.Select(text => (JsonNode?)JsonValue.Create(text))]);
}
