using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>Writes safetensors. The same tensors give the same bytes: wider types first (so that every tensor is aligned), then by name.</summary>
public static class SafeTensorsWriter
{
    /// <summary>Above this a folder is sharded.</summary>
    public const long DefaultShardBytes = 5_000_000_000;

    static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes one file, whole or not at all.</summary>
    public static void WriteFile(string path, IEnumerable<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        AtomicFile.Write(path, stream => Write(stream, Sort(tensors), metadata));

    /// <summary>One file's bytes, for a message.</summary>
    public static byte[] ToBytes(IEnumerable<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        using MemoryStream stream = new();
        Write(stream, Sort(tensors), metadata);
        return stream.ToArray();
    }

    /// <summary>Writes <c>model.safetensors</c> into a folder or, past <paramref name="shardBytes"/>, shards and their index. For use inside <see cref="AtomicFolder"/>.</summary>
    public static void WriteFolder(string folder, IEnumerable<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null, long shardBytes = DefaultShardBytes)
    {
        List<List<TensorSource>> shards = Split(Sort(tensors), shardBytes);
        if (shards.Count == 1)
        {
            WriteFile(Path.Combine(folder, SafeTensors.SingleName), shards[0], metadata);
            return;
        }
        SortedDictionary<string, string> weightMap = new(StringComparer.Ordinal);
        for (int i = 0; i < shards.Count; i++)
        {
            string name = $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors";
            WriteFile(Path.Combine(folder, name), shards[i], metadata);
            foreach (TensorSource tensor in shards[i])
                weightMap.Add(tensor.Name, name);
        }
        long totalSize = shards.Sum(shard => shard.Sum(tensor => tensor.ByteCount));
        AtomicFile.Write(Path.Combine(folder, SafeTensors.IndexName), stream => WriteIndex(stream, weightMap, totalSize));
    }

    static List<TensorSource> Sort(IEnumerable<TensorSource> tensors)
    {
        List<TensorSource> sorted = [.. tensors.OrderByDescending(tensor => tensor.DType.Size()).ThenBy(tensor => tensor.Name, StringComparer.Ordinal)];
        HashSet<string> names = new(StringComparer.Ordinal) { "__metadata__" };
        foreach (TensorSource tensor in sorted)
            if (!names.Add(tensor.Name))
                throw new ArgumentException($"SafeTensorsWriter: the name '{tensor.Name}' is taken");
        return sorted;
    }

    // A shard ends before the tensor that would take it past the limit; a larger tensor has one to itself.
    static List<List<TensorSource>> Split(List<TensorSource> tensors, long shardBytes)
    {
        List<List<TensorSource>> shards = [[]];
        long bytes = 0;
        foreach (TensorSource tensor in tensors)
        {
            if (shards[^1].Count > 0 && bytes + tensor.ByteCount > shardBytes)
            {
                shards.Add([]);
                bytes = 0;
            }
            shards[^1].Add(tensor);
            bytes += tensor.ByteCount;
        }
        return shards;
    }

    static void Write(Stream stream, List<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        byte[] header = Header(tensors, metadata);
        // Spaces at the end bring the data to a multiple of 8.
        int padding = -header.Length & 7;
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length + padding);
        stream.Write(length);
        stream.Write(header);
        stream.Write("        "u8[..padding]);
        long end = stream.Position;
        foreach (TensorSource tensor in tensors)
        {
            tensor.WriteTo(stream);
            end += tensor.ByteCount;
            if (stream.Position != end)
                throw new InvalidOperationException($"tensor '{tensor.Name}' wrote {tensor.ByteCount + stream.Position - end:N0} bytes, wanted {tensor.ByteCount:N0}");
        }
    }

    static byte[] Header(List<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter json = new(buffer, Json))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                    json.WriteString(key, value);
                json.WriteEndObject();
            }
            long begin = 0;
            foreach (TensorSource tensor in tensors)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.DType.ToString());
                WriteLongs(json, "shape", tensor.Shape.AsSpan());
                WriteLongs(json, "data_offsets", [begin, begin += tensor.ByteCount]);
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        if (buffer.Length > SafeTensorsHeader.MaxBytes)
            throw new CoppiceException($"safetensors: a header of {buffer.Length:N0} bytes, the format takes at most {SafeTensorsHeader.MaxBytes:N0}");
        return buffer.ToArray();
    }

    static void WriteLongs(Utf8JsonWriter json, string name, ReadOnlySpan<long> numbers)
    {
        json.WriteStartArray(name);
        foreach (long number in numbers)
            json.WriteNumberValue(number);
        json.WriteEndArray();
    }

    static void WriteIndex(Stream stream, SortedDictionary<string, string> weightMap, long totalSize)
    {
        using Utf8JsonWriter json = new(stream, Json with { Indented = true, NewLine = "\n" });
        json.WriteStartObject();
        json.WriteStartObject("metadata");
        json.WriteNumber("total_size", totalSize);
        json.WriteEndObject();
        json.WriteStartObject("weight_map");
        foreach ((string name, string file) in weightMap)
            json.WriteString(name, file);
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
