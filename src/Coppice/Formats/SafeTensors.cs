using System.Collections.Immutable;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>The tensors of a safetensors file, or of a folder with <c>model.safetensors</c> or shards named by <c>model.safetensors.index.json</c>.</summary>
public sealed class SafeTensors : TensorContainer
{
    /// <summary>The index of a sharded folder.</summary>
    public const string IndexName = "model.safetensors.index.json";

    /// <summary>The file of a folder that is not sharded.</summary>
    public const string SingleName = "model.safetensors";

    SafeTensors(string path) : base(path) { }

    /// <summary>The texts under <c>__metadata__</c> (of a sharded folder, the first shard's).</summary>
    public ImmutableSortedDictionary<string, string> Metadata { get; private set; } = ImmutableSortedDictionary<string, string>.Empty;

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
    public static SafeTensors Read(string name, ReadOnlyMemory<byte> bytes) => Read(new BinaryFile(name, bytes));

    /// <summary>Reads what is in an opened file, which this takes over.</summary>
    /// <exception cref="CoppiceException">The bytes break the format's rules.</exception>
    internal static SafeTensors Read(BinaryFile file)
    {
        SafeTensors tensors = new(file.Path);
        tensors.AddFile(file, wanted: null);
        return tensors;
    }

    /// <summary>Some of the tensors, for as long as this is open.</summary>
    internal SafeTensors Part(Func<string, bool> wanted)
    {
        SafeTensors part = new(Path);
        part.Borrow(Entries.Values.Where(entry => wanted(entry.Name)));
        return part;
    }

    void AddFile(BinaryFile file, ShardNames? wanted) => Add(file, opened =>
    {
        SafeTensorsHeader header = SafeTensorsHeader.Read(opened);
        if (Entries.Count == 0)
            Metadata = header.Metadata;
        return header.Entries;
    }, wanted);

    void AddShards(string folder)
    {
        IReadOnlyList<ShardNames> shards = ShardIndex.Read(folder, IndexName, out long? totalSize);
        foreach (ShardNames shard in shards)
            AddFile(new BinaryFile(System.IO.Path.Combine(folder, shard.FileName)), shard);
        long bytes = Entries.Values.Sum(entry => entry.ByteCount);
        if (totalSize is { } wanted && wanted != bytes)
            throw FormatError.At(System.IO.Path.Combine(folder, IndexName), $"says {wanted:N0} bytes in all, the shards have {bytes:N0}");
    }
}
