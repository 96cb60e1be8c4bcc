using System.Collections.Immutable;
using System.Text.Json;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>The tensors of a safetensors file, or of a folder with <c>model.safetensors</c> or shards named by <c>model.safetensors.index.json</c>.</summary>
public sealed class SafeTensors : ICheckpoint
{
    /// <summary>The index of a sharded folder.</summary>
    public const string IndexName = "model.safetensors.index.json";

    /// <summary>The file of a folder that is not sharded.</summary>
    public const string SingleName = "model.safetensors";

    readonly List<BinaryFile> files = [];
    readonly Dictionary<string, TensorEntry> entries = new(StringComparer.Ordinal);

    SafeTensors(string path) => Path = path;

    /// <inheritdoc/>
    public string Path { get; }

    /// <summary>Every tensor by its name.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Entries => entries;

    /// <summary>The texts under <c>__metadata__</c> (of a sharded folder, the first shard's).</summary>
    public ImmutableSortedDictionary<string, string> Metadata { get; private set; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <inheritdoc/>
    public IReadOnlyCollection<string> Names => entries.Keys;

    /// <summary>Opens a file or a folder. Only headers are read.</summary>
    /// <exception cref="CoppiceException">A file is absent, unreadable or breaks the format's rules.</exception>
    public static SafeTensors Open(string path)
    {
        SafeTensors tensors = new(path);
        try
        {
            if (!Directory.Exists(path))
                tensors.AddFile(new BinaryFile(path), wanted: null);
            else if (File.Exists(System.IO.Path.Combine(path, SingleName)))
                tensors.AddFile(new BinaryFile(System.IO.Path.Combine(path, SingleName)), wanted: null);
            else if (File.Exists(System.IO.Path.Combine(path, IndexName)))
                tensors.AddShards(path);
            else
                throw FormatError.At(path, $"has neither {SingleName} nor {IndexName}");
            return tensors;
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    /// <summary>Reads a message's bytes; <paramref name="name"/> stands for the path in error messages.</summary>
    /// <exception cref="CoppiceException">The bytes break the format's rules.</exception>
    public static SafeTensors Read(string name, ReadOnlyMemory<byte> bytes)
    {
        SafeTensors tensors = new(name);
        tensors.AddFile(new BinaryFile(name, bytes), wanted: null);
        return tensors;
    }

    /// <inheritdoc/>
    public ImmutableArray<long> ShapeOf(string name) => Find(name).Shape;

    /// <inheritdoc/>
    public Weight ReadWeight(string name) => Find(name).ReadWeight();

    /// <inheritdoc/>
    public Weight OpenWeight(string name) => Find(name).OpenWeight();

    /// <inheritdoc/>
    public Tensor ReadTensor(string name) => Find(name).ReadTensor();

    /// <summary>A tensor by its name.</summary>
    /// <exception cref="CoppiceException">There is none.</exception>
    public TensorEntry Find(string name) => entries.TryGetValue(name, out TensorEntry? entry)
        ? entry
        : throw FormatError.At(Path, $"has no tensor '{name}' among its {entries.Count}");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (BinaryFile file in files)
            file.Dispose();
    }

    void AddFile(BinaryFile file, IReadOnlySet<string>? wanted)
    {
        files.Add(file);
        SafeTensorsHeader header = SafeTensorsHeader.Read(file);
        foreach (TensorEntry entry in header.Entries)
            if (wanted is null || wanted.Contains(entry.Name))
                entries.Add(entry.Name, entry);
        if (files.Count == 1)
            Metadata = header.Metadata;
        foreach (string name in wanted ?? ImmutableHashSet<string>.Empty)
            if (!entries.ContainsKey(name))
                throw file.Error($"has no tensor '{name}', which {IndexName} says it has");
    }

    void AddShards(string folder)
    {
        foreach ((string shard, HashSet<string> names) in ReadIndex(System.IO.Path.Combine(folder, IndexName)))
            AddFile(new BinaryFile(System.IO.Path.Combine(folder, shard)), names);
    }

    // The file of every tensor, turned into the tensors of every file. A shard lies beside its index, whatever the index says.
    static SortedDictionary<string, HashSet<string>> ReadIndex(string path)
    {
        SortedDictionary<string, HashSet<string>> shards = new(StringComparer.Ordinal);
        HashSet<string> seen = new(StringComparer.Ordinal);
        using JsonDocument document = JsonFile.Read(path);
        if (document.RootElement.ValueKind != JsonValueKind.Object
            || !document.RootElement.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object)
            throw FormatError.At(path, $"has no object 'weight_map'");
        foreach (JsonProperty property in map.EnumerateObject())
        {
            if (property.Value.ValueKind != JsonValueKind.String)
                throw FormatError.At(path, $"tensor '{property.Name}' lies in a {property.Value.ValueKind}, wanted a file name");
            string shard = property.Value.GetString()!;
            if (shard.AsSpan().IndexOfAny('/', '\\', ':') >= 0 || shard.Contains('\0') || shard is "" or "." or "..")
                throw FormatError.At(path, $"tensor '{property.Name}' lies in '{shard}', wanted a file beside the index");
            if (!seen.Add(property.Name))
                throw FormatError.At(path, $"tensor '{property.Name}' is named twice");
            if (!shards.TryGetValue(shard, out HashSet<string>? names))
                shards.Add(shard, names = new HashSet<string>(StringComparer.Ordinal));
            names.Add(property.Name);
        }
        return shards;
    }
}
