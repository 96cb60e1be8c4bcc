using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>Writes safetensors. The same tensors give the same bytes: wider types first (so that every tensor is aligned), then by name.</summary>
public static class SafeTensorsWriter
{
    static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes one file, whole or not at all.</summary>
    public static void WriteFile(string path, IEnumerable<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        TensorSource[] given = [.. tensors];
        Write(path, Sort(given), given, metadata, new WritingOptions(), _ => { });
    }

    /// <summary>One file's bytes, for a message.</summary>
    public static byte[] ToBytes(IEnumerable<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        List<TensorSource> sorted = Sort(tensors);
        using MemoryStream stream = new();
        stream.Write(Header(sorted, metadata));
        foreach (TensorSource tensor in sorted)
            tensor.WriteTo(stream);
        return stream.ToArray();
    }

    /// <summary>Writes <c>model.safetensors</c> into a folder or, past <see cref="WritingOptions.ShardBytes"/>, shards and their index. For use inside <see cref="AtomicFolder"/>.</summary>
    /// <remarks>Within a file tensors are made in the order given, so that the parts of one matrix are made together wherever they lie.</remarks>
    public static void WriteFolder(string folder, IEnumerable<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null, WritingOptions? options = null)
    {
        options ??= new WritingOptions();
        TensorSource[] given = [.. tensors];
        List<List<TensorSource>> shards = Split(Sort(given), options.ShardBytes);
        long done = 0, totalSize = given.Sum(tensor => tensor.ByteCount);
        SortedDictionary<string, string> weightMap = new(StringComparer.Ordinal);
        for (int i = 0; i < shards.Count; i++)
        {
            string name = shards.Count == 1 ? SafeTensors.SingleName : $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors";
            Write(Path.Combine(folder, name), shards[i], given, metadata, options, tensor => options.Progress?.Report(new WriteProgress(tensor.Name, done += tensor.ByteCount, totalSize)));
            foreach (TensorSource tensor in shards[i])
                weightMap.Add(tensor.Name, name);
        }
        if (shards.Count > 1)
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

    static void Write(string path, List<TensorSource> tensors, TensorSource[] order, IReadOnlyDictionary<string, string>? metadata, WritingOptions options, Action<PlacedTensor> told)
    {
        byte[] header = Header(tensors, metadata);
        long at = header.Length;
        Dictionary<string, long> offsets = new(StringComparer.Ordinal);
        foreach (TensorSource tensor in tensors)
        {
            offsets.Add(tensor.Name, at);
            at += tensor.ByteCount;
        }
        using WorkerPool own = new(1);
        WorkerPool pool = options.Pool ?? own;
        PlacedFile.Write(path, header, at, [.. order.Where(tensor => offsets.ContainsKey(tensor.Name)).Select(tensor => new PlacedTensor(tensor.Name, offsets[tensor.Name], tensor.ByteCount, stream => tensor.Write(stream, pool)))], options, told);
    }

    // Length and JSON; spaces at its end bring the data to a multiple of 8.
    static byte[] Header(List<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        byte[] json = JsonHeader(tensors, metadata);
        byte[] header = new byte[8 + (json.Length + 7 & ~7)];
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - 8);
        header.AsSpan(8).Fill((byte)' ');
        json.CopyTo(header, 8);
        return header;
    }

    static byte[] JsonHeader(List<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata)
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
