using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Formats;

/// <summary>One tensor of a GGUF file.</summary>
/// <param name="Name">llama.cpp's name for it.</param>
/// <param name="Type">How it is stored.</param>
/// <param name="Shape">The sizes of the axes, outermost first (the file has them innermost first).</param>
/// <param name="ByteCount">Stored bytes.</param>
public sealed record GgufTensor(string Name, GgmlType Type, ImmutableArray<long> Shape, long ByteCount);

/// <summary>A GGUF file, version 3: metadata and tensors, read on demand.</summary>
public sealed class Gguf : ICheckpoint
{
    /// <summary>"GGUF", little-endian.</summary>
    internal const uint Magic = 0x46554747;

    /// <summary>Whether a file begins as one of GGUF does.</summary>
    public static bool Is(string path)
    {
        Span<byte> first = stackalloc byte[sizeof(uint)];
        using FileStream stream = File.OpenRead(path);
        return stream.ReadAtLeast(first, first.Length, throwOnEndOfStream: false) == first.Length && BinaryPrimitives.ReadUInt32LittleEndian(first) == Magic;
    }

    /// <summary>The version that is read and written.</summary>
    internal const uint Version = 3;

    /// <summary>The metadata key for where tensors may start.</summary>
    internal const string AlignmentKey = "general.alignment";

    /// <summary>Where no <see cref="AlignmentKey"/> says otherwise.</summary>
    internal const uint DefaultAlignment = 32;

    readonly BinaryFile file;
    readonly Dictionary<string, object> metadata = new(StringComparer.Ordinal);
    readonly Dictionary<string, GgufTensor> tensors = new(StringComparer.Ordinal);
    readonly Dictionary<string, long> begins = new(StringComparer.Ordinal);

    Gguf(BinaryFile file) => this.file = file;

    /// <inheritdoc/>
    public string Path => file.Path;

    /// <summary>The metadata: numbers, truth values, strings and arrays of these, as the .NET types that GGUF's types are.</summary>
    public IReadOnlyDictionary<string, object> Metadata => metadata;

    /// <summary>Every tensor by its name.</summary>
    public IReadOnlyDictionary<string, GgufTensor> Tensors => tensors;

    /// <inheritdoc/>
    public IReadOnlyCollection<string> Names => tensors.Keys;

    /// <summary>Opens a file. Only its header is read.</summary>
    /// <exception cref="CoppiceException">The file is absent, unreadable or breaks the format's rules.</exception>
    public static Gguf Open(string path, WeightReading reading = WeightReading.Whole)
    {
        Gguf gguf = new(new BinaryFile(path) { Reading = reading });
        try
        {
            gguf.ReadHeader();
            return gguf;
        }
        catch
        {
            gguf.Dispose();
            throw;
        }
    }

    /// <summary>A metadata value: a whole number of any width as the <typeparamref name="T"/> asked for, everything else by its exact type.</summary>
    /// <exception cref="CoppiceException">There is no such key, or its value is no <typeparamref name="T"/>.</exception>
    public T Get<T>(string key)
    {
        if (!metadata.TryGetValue(key, out object? value))
            throw file.Error($"has no key '{key}'");
        if (value is T exact)
            return exact;
        try
        {
            if (IsWhole(value.GetType()) && IsWhole(typeof(T)))
                return (T)Convert.ChangeType(value, typeof(T), CultureInfo.InvariantCulture);
        }
        catch (OverflowException)
        {
        }
        throw file.Error($"key '{key}' is {(value is Array ? value.GetType().Name : $"{value.GetType().Name} {value}")}, wanted {typeof(T).Name}");
    }

    /// <summary>The same, or <paramref name="absent"/> where there is no such key.</summary>
    public T Get<T>(string key, T absent) => metadata.ContainsKey(key) ? Get<T>(key) : absent;

    /// <inheritdoc/>
    public ImmutableArray<long> ShapeOf(string name) => Find(name).Shape;

    /// <summary>The matrix as it is stored: F32 as a <see cref="DenseWeight"/>, F16 and BF16 as a <see cref="HalfWeight"/>, blocks as a <see cref="BlockWeight{TBlock}"/>.</summary>
    /// <exception cref="CoppiceException">There is no such tensor, it is no matrix, it is of another type, or it holds a number that is not finite.</exception>
    public Weight ReadWeight(string name)
    {
        GgufTensor tensor = Find(name);
        CheckLength(tensor);
        (int rows, int columns) = RowsOf(tensor);
        if (tensor.Type.Blocks is { } blocks)
            return blocks.Read(rows, columns, new BlockTensor(this, tensor, columns / blocks.Size));
        return tensor.Type.Name switch
        {
            "F32" => new DenseWeight(Tensor.From([rows, columns], ReadTensor(name).Data)),
            "F16" or "BF16" => new HalfWeight(Half(tensor), rows, columns, ReadHalves(tensor)),
            _ => throw Unsupported(tensor),
        };
    }

    /// <inheritdoc/>
    public Weight OpenWeight(string name)
    {
        GgufTensor tensor = Find(name);
        if (!tensor.Type.IsReadable)
            throw Unsupported(tensor);
        CheckLength(tensor);
        (int rows, int columns) = RowsOf(tensor);
        if (tensor.Type.BlockSize != 1)
            return new DeferredWeight(rows, columns, () => ReadWeight(name), tensor.Type.Blocks);
        return new StoredWeight(file, name, begins[name], tensor.Type == GgmlType.F32 ? null : Half(tensor), rows, columns);
    }

    /// <inheritdoc/>
    public Tensor ReadTensor(string name)
    {
        GgufTensor tensor = Find(name);
        CheckLength(tensor);
        Tensor result = new(Shape.Create([.. tensor.Shape.Select(size => (int)size)]));
        if (tensor.Type == GgmlType.F32)
        {
            ReadBytes(tensor, MemoryMarshal.AsBytes(result.Data));
            int wrong = HalfConversion.IndexOfNonFinite(result.Data);
            if (wrong >= 0)
                throw NotFinite(tensor, wrong);
        }
        else if (tensor.Type == GgmlType.F16 || tensor.Type == GgmlType.BF16)
            HalfConversion.ToSingle(Half(tensor), ReadHalves(tensor).Span, result.Data);
        else
            ReadWeight(name).Unpack(0, result.Data);
        return result;
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    // A tensor of experts has one matrix below another.
    static (int Rows, int Columns) RowsOf(GgufTensor tensor) => (tensor.Shape[..^1].Aggregate(1, (rows, size) => rows * (int)size), (int)tensor.Shape[^1]);

    GgufTensor Find(string name) => tensors.TryGetValue(name, out GgufTensor? tensor) ? tensor : throw file.Error($"has no tensor '{name}' among its {tensors.Count}");

    void ReadHeader()
    {
        GgufReader reader = new(file);
        if (reader.Read<uint>("the magic") != Magic)
            throw file.Error("does not start with GGUF; is it another format?");
        uint version = reader.Read<uint>("the version");
        if (version != Version)
            throw file.Error($"is GGUF version {version}, wanted {Version}{(version == 0x03000000 ? "; it is big-endian" : "")}");
        // A tensor's info has at least 32 bytes, a key and its value 13.
        int tensorCount = reader.ReadCount(32, "the tensors"), keyCount = reader.ReadCount(13, "the keys");
        for (int i = 0; i < keyCount; i++)
        {
            string key = reader.ReadString("a key");
            if (!metadata.TryAdd(key, reader.ReadValue(key)))
                throw file.Error($"key '{key}' is there twice");
        }
        List<(GgufTensor Tensor, ulong Offset)> infos = [];
        for (int i = 0; i < tensorCount; i++)
            infos.Add(reader.ReadTensor());
        uint alignment = metadata.ContainsKey(AlignmentKey) ? Get<uint>(AlignmentKey) : DefaultAlignment;
        if (!BitOperations.IsPow2(alignment))
            throw file.Error($"{AlignmentKey} is {alignment}, wanted a power of two");
        Place(infos, Align(reader.Position, alignment), alignment);
    }

    // Tensors follow one another, each padded to the alignment; llama.cpp refuses anything else.
    void Place(List<(GgufTensor Tensor, ulong Offset)> infos, long dataStart, long alignment)
    {
        long at = 0;
        foreach ((GgufTensor tensor, ulong offset) in infos)
        {
            if (offset != (ulong)at)
                throw Error(tensor, $"begins at {offset:N0} of the data, wanted {at:N0}");
            if (tensor.ByteCount > file.Length - dataStart - at)
                throw Error(tensor, $"has {tensor.ByteCount:N0} bytes at {dataStart + at:N0} but the file has {file.Length:N0}; is it cut short?");
            if (!tensors.TryAdd(tensor.Name, tensor))
                throw Error(tensor, "is there twice");
            begins.Add(tensor.Name, dataStart + at);
            at = Align(at + tensor.ByteCount, alignment);
        }
    }

    internal static long Align(long position, long alignment) => (position + alignment - 1) / alignment * alignment;

    void ReadBytes(GgufTensor tensor, Span<byte> destination) => file.Read(begins[tensor.Name], destination, $"tensor '{tensor.Name}'");

    ReadOnlyMemory<ushort> ReadHalves(GgufTensor tensor)
    {
        ReadOnlyMemory<ushort> bits = View<ushort>(tensor);
        int wrong = FileRun.IndexOf<ushort>(bits, piece => HalfConversion.IndexOfNonFinite(Half(tensor), piece));
        return wrong < 0 ? bits : throw NotFinite(tensor, wrong);
    }

    // A tensor of blocks, checked when it is read: on demand that is each time.
    sealed class BlockTensor(Gguf gguf, GgufTensor tensor, int perRow) : IBlockSource
    {
        public ReadOnlyMemory<TBlock> Read<TBlock>() where TBlock : unmanaged, IBlock<TBlock>
        {
            if (gguf.file.Reading == WeightReading.OnDemand)
                return gguf.file.Defer<TBlock>(gguf.begins[tensor.Name], perRow == 0 ? 0 : (int)(tensor.ByteCount / Unsafe.SizeOf<TBlock>()) / perRow, perRow, $"tensor '{tensor.Name}'", (firstRow, read) => Check(firstRow * perRow, IndexOfNonFinite<TBlock>(read)));
            ReadOnlyMemory<TBlock> blocks = gguf.View<TBlock>(tensor);
            Check(0, FileRun.IndexOf<TBlock>(blocks, IndexOfNonFinite));
            return blocks;

            void Check(int first, int wrong)
            {
                if (wrong >= 0)
                    throw gguf.NotFinite(tensor, ((long)first + wrong) * TBlock.Size);
            }
        }
    }

    // Runs once over every block of a file: there is no time to find out that it is worth compiling well.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int IndexOfNonFinite<TBlock>(ReadOnlySpan<TBlock> blocks) where TBlock : unmanaged, IBlock<TBlock>
    {
        for (int i = 0; i < blocks.Length; i++)
            if (!blocks[i].IsFinite)
                return i;
        return -1;
    }

    ReadOnlyMemory<T> View<T>(GgufTensor tensor) where T : unmanaged => file.View<T>(begins[tensor.Name], (int)(tensor.ByteCount / Unsafe.SizeOf<T>()), $"tensor '{tensor.Name}'");

    static HalfFormat Half(GgufTensor tensor) => tensor.Type == GgmlType.F16 ? HalfFormat.Float16 : HalfFormat.BFloat16;

    static bool IsWhole(Type type) => Type.GetTypeCode(type) is >= TypeCode.SByte and <= TypeCode.UInt64;

    void CheckLength(GgufTensor tensor)
    {
        // As float32 in one tensor, and as bytes in one read.
        if (tensor.Shape.Aggregate(1L, (product, size) => product * size) > Array.MaxLength || tensor.ByteCount > Array.MaxLength)
            throw Error(tensor, $"is {TensorEntry.Describe(tensor.Shape)}, more than fits one tensor");
    }

    CoppiceException Unsupported(GgufTensor tensor) => Error(tensor, $"is {tensor.Type}, which is not read; wanted one of {GgmlType.Readable}");

    CoppiceException NotFinite(GgufTensor tensor, long index) => Error(tensor, $"holds a number that is not finite at {index:N0}; the model is damaged");

    CoppiceException Error(GgufTensor tensor, string message) => file.Error($"tensor '{tensor.Name}' {message}");
}
