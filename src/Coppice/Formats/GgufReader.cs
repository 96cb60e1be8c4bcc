using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>A GGUF header, read in order and checked: every count is held against the bytes that are left before anything is allocated for it.</summary>
sealed class GgufReader(BinaryFile file)
{
    /// <summary>Header and metadata may not be longer.</summary>
    const long MaxHeaderBytes = 256L << 20;

    // A tensor of no more than this many axes exists in ggml.
    const int MaxAxes = 4;

    readonly byte[] buffer = new byte[1 << 16];
    readonly long end = Math.Min(file.Length, MaxHeaderBytes);
    long bufferStart;
    int bufferLength;

    public long Position { get; private set; }

    /// <summary>A number of fixed size.</summary>
    public T Read<T>(string what) where T : unmanaged
    {
        Span<T> value = stackalloc T[1];
        Read(MemoryMarshal.AsBytes(value), what);
        return value[0];
    }

    /// <summary>A count of things of at least <paramref name="leastBytes"/> each.</summary>
    public int ReadCount(int leastBytes, string what)
    {
        ulong count = Read<ulong>(what);
        return count <= (ulong)(end - Position) / (ulong)leastBytes && count <= (ulong)Array.MaxLength
            ? (int)count
            : throw file.Error($"{what}: claims {count:N0} entries, which the {end - Position:N0} bytes that are left cannot hold");
    }

    public string ReadString(string what)
    {
        byte[] bytes = new byte[ReadCount(1, what)];
        Read(bytes, what);
        // Tokens of a vocabulary may hold any bytes; what is no UTF-8 becomes U+FFFD, as in llama.cpp's own output.
        return Encoding.UTF8.GetString(bytes);
    }

    /// <summary>A metadata value as the .NET type of its GGUF type; an array as a .NET array.</summary>
    public object ReadValue(string key)
    {
        string what = $"key '{key}'";
        uint type = Read<uint>(what);
        if (type != GgufValues.ArrayType)
            return ReadScalar(type, what);
        uint element = Read<uint>(what);
        return element switch
        {
            0 => ReadArray<byte>(what),
            1 => ReadArray<sbyte>(what),
            2 => ReadArray<ushort>(what),
            3 => ReadArray<short>(what),
            4 => ReadArray<uint>(what),
            5 => ReadArray<int>(what),
            6 => ReadArray<float>(what),
            7 => ReadEach(1, what, () => ReadBool(what)),
            8 => ReadEach(8, what, () => ReadString(what)),
            10 => ReadArray<ulong>(what),
            11 => ReadArray<long>(what),
            12 => ReadArray<double>(what),
            _ => throw file.Error($"{what} is an array of type {element}, which is not known"),
        };
    }

    object ReadScalar(uint type, string what) => type switch
    {
        0 => Read<byte>(what),
        1 => Read<sbyte>(what),
        2 => Read<ushort>(what),
        3 => Read<short>(what),
        4 => Read<uint>(what),
        5 => Read<int>(what),
        6 => Read<float>(what),
        7 => ReadBool(what),
        8 => ReadString(what),
        10 => Read<ulong>(what),
        11 => Read<long>(what),
        12 => Read<double>(what),
        _ => throw file.Error($"{what} is of type {type}, which is not known"),
    };

    bool ReadBool(string what) => Read<byte>(what) switch
    {
        0 => false,
        1 => true,
        byte other => throw file.Error($"{what} holds the truth value {other}, wanted 0 or 1"),
    };

    T[] ReadArray<T>(string what) where T : unmanaged
    {
        T[] values = new T[ReadCount(Marshal.SizeOf<T>(), what)];
        Read(MemoryMarshal.AsBytes(values.AsSpan()), what);
        return values;
    }

    T[] ReadEach<T>(int leastBytes, string what, Func<T> read)
    {
        T[] values = new T[ReadCount(leastBytes, what)];
        for (int i = 0; i < values.Length; i++)
            values[i] = read();
        return values;
    }

    /// <summary>A tensor's place and type, its shape turned outermost first.</summary>
    public (GgufTensor Tensor, ulong Offset) ReadTensor()
    {
        string name = ReadString("a tensor's name");
        string what = $"tensor '{name}'";
        uint axes = Read<uint>(what);
        if (axes is 0 or > MaxAxes)
            throw file.Error($"{what} has {axes} axes, wanted 1 to {MaxAxes}");
        long[] shape = new long[axes];
        long count = 1;
        for (int i = 0; i < axes; i++)
        {
            shape[axes - 1 - i] = Read<long>(what);
            if (shape[axes - 1 - i] < 1 || !TryMultiply(count, shape[axes - 1 - i], out count))
                throw file.Error($"{what} has an axis of {shape[axes - 1 - i]}, or more than 2^63 values");
        }
        int id = Read<int>(what);
        GgmlType type = GgmlType.Find(id) ?? throw file.Error($"{what} is of type {id}, which is not known");
        if (shape[^1] % type.BlockSize != 0)
            throw file.Error($"{what} has rows of {shape[^1]} values, wanted a multiple of {type.BlockSize} for {type}");
        if (!TryMultiply(count / type.BlockSize, type.BlockBytes, out long bytes))
            throw file.Error($"{what} has more than 2^63 bytes");
        return (new GgufTensor(name, type, [.. shape], bytes), Read<ulong>(what));
    }

    static bool TryMultiply(long a, long b, out long product)
    {
        Int128 exact = (Int128)a * b;
        product = (long)exact;
        return exact <= long.MaxValue;
    }

    void Read(Span<byte> destination, string what)
    {
        if (destination.Length > end - Position)
            throw file.Error(end < file.Length ? $"{what}: the header goes on past {MaxHeaderBytes:N0} bytes" : $"{what} goes on past byte {file.Length:N0}, where the file ends");
        while (destination.Length > 0)
        {
            int at = (int)(Position - bufferStart);
            if (at >= bufferLength)
            {
                (bufferStart, bufferLength, at) = (Position, (int)Math.Min(buffer.Length, end - Position), 0);
                file.Read(bufferStart, buffer.AsSpan(0, bufferLength), what);
            }
            int count = Math.Min(destination.Length, bufferLength - at);
            buffer.AsSpan(at, count).CopyTo(destination);
            destination = destination[count..];
            Position += count;
        }
    }
}
