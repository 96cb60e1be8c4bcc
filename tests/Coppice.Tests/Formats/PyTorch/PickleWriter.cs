using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Coppice.Tests.Formats.PyTorch;

/// <summary>Writes pickles opcode by opcode, and files around them, from Python's and PyTorch's documentation.</summary>
sealed class PickleWriter
{
    readonly MemoryStream bytes = new();

    public PickleWriter() => Raw(0x80, 2);

    public byte[] Done() => Raw('.').bytes.ToArray();

    public PickleWriter Raw(params ReadOnlySpan<int> opcodes)
    {
        foreach (int opcode in opcodes)
            bytes.WriteByte((byte)opcode);
        return this;
    }

    public PickleWriter Text(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        Raw('X').UInt32((uint)utf8.Length).bytes.Write(utf8);
        return this;
    }

    public PickleWriter Global(string module, string name)
    {
        Raw('c').bytes.Write(Encoding.ASCII.GetBytes($"{module}\n{name}\n"));
        return this;
    }

    public PickleWriter Int(int value)
    {
        Raw('J').UInt32((uint)value);
        return this;
    }

    /// <summary>A whole number of eight bytes.</summary>
    public PickleWriter Long(long value)
    {
        Span<byte> eight = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(eight, value);
        Raw(0x8A, 8).bytes.Write(eight);
        return this;
    }

    /// <summary>(values) as a tuple.</summary>
    public PickleWriter Longs(params ReadOnlySpan<long> values)
    {
        Raw('(');
        foreach (long value in values)
            Long(value);
        return Raw('t');
    }

    /// <summary>A tensor of a storage, whose key and type are given, by _rebuild_tensor_v2.</summary>
    public PickleWriter Tensor(string storageType, string key, long count, long offset, long[] shape, long[] strides)
    {
        Global("torch._utils", "_rebuild_tensor_v2").Raw('(', '(').Text("storage").Global("torch", storageType).Text(key).Text("cpu").Long(count).Raw('t', 'Q');
        return Long(offset).Longs(shape).Longs(strides).Raw(0x89).Global("collections", "OrderedDict").Raw(')', 'R', 't', 'R');
    }

    PickleWriter UInt32(uint value)
    {
        Span<byte> four = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(four, value);
        bytes.Write(four);
        return this;
    }

    /// <summary>A zip of a pickle and storages.</summary>
    public static void Zip(string path, byte[] pickle, IReadOnlyDictionary<string, byte[]> storages, CompressionLevel level = CompressionLevel.NoCompression, string? byteOrder = null)
    {
        File.Delete(path);
        using ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Create);
        Add("model/data.pkl", pickle);
        if (byteOrder is not null)
            Add("model/byteorder", Encoding.ASCII.GetBytes(byteOrder));
        foreach ((string key, byte[] data) in storages)
            Add($"model/data/{key}", data);

        void Add(string name, byte[] data)
        {
            using Stream stream = zip.CreateEntry(name, level).Open();
            stream.Write(data);
        }
    }
}
