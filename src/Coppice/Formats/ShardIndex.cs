using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>The tensors that an index says a shard has, and those that it puts anywhere.</summary>
sealed record ShardNames(string IndexName, string FileName, IReadOnlySet<string> Names, IReadOnlySet<string> Everywhere);

/// <summary>The index of a sharded folder: <c>{"metadata": {"total_size": bytes}, "weight_map": {tensor: file}}</c>.</summary>
static class ShardIndex
{
    /// <summary>The shards by their file names. A shard lies beside its index, whatever the index says.</summary>
    /// <exception cref="CoppiceException">The index is no such JSON, or names a file elsewhere.</exception>
    public static IReadOnlyList<ShardNames> Read(string folder, string indexName, out long? totalSize)
    {
        string path = Path.Combine(folder, indexName);
        SortedDictionary<string, HashSet<string>> shards = new(StringComparer.Ordinal);
        HashSet<string> seen = new(StringComparer.Ordinal);
        using JsonDocument document = JsonFile.Read(path);
        if (document.RootElement.ValueKind != JsonValueKind.Object
            || !document.RootElement.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object)
            throw FormatError.At(path, "has no object 'weight_map'");
        foreach (JsonProperty property in map.EnumerateObject())
        {
            if (property.Value.ValueKind != JsonValueKind.String)
                throw FormatError.At(path, $"tensor '{property.Name}' lies in a {property.Value.ValueKind}, wanted a file name");
            string shard = property.Value.GetString()!;
            if (shard.AsSpan().IndexOfAny('/', '\\', ':') >= 0 || shard.Any(char.IsControl) || shard is "" or "." or "..")
                throw FormatError.At(path, $"tensor '{property.Name}' lies in '{shard}', wanted a file beside the index");
            if (!seen.Add(property.Name))
                throw FormatError.At(path, $"tensor '{property.Name}' is named twice");
            if (!shards.TryGetValue(shard, out HashSet<string>? names))
                shards.Add(shard, names = new HashSet<string>(StringComparer.Ordinal));
            names.Add(property.Name);
        }
        totalSize = TotalSize(path, document.RootElement);
        return [.. shards.Select(pair => new ShardNames(indexName, pair.Key, pair.Value, seen))];
    }

    // Some writers leave it out, and old ones wrote a fraction.
    static long? TotalSize(string path, JsonElement root)
    {
        if (!root.TryGetProperty("metadata", out JsonElement metadata) || metadata.ValueKind != JsonValueKind.Object
            || !metadata.TryGetProperty("total_size", out JsonElement size) || size.ValueKind == JsonValueKind.Null)
            return null;
        return size.ValueKind == JsonValueKind.Number && size.GetDouble() is >= 0 and <= long.MaxValue / 2 and var number && number == Math.Floor(number)
            ? (long)number
            : throw FormatError.At(path, $"total_size is {(size.ValueKind == JsonValueKind.Number ? size.GetRawText() : size.ValueKind)}, wanted a whole number of bytes");
    }
}
