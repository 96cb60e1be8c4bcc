using System.Buffers.Binary;
using Coppice.Tensors;

namespace Coppice.Coding;

/// <summary>Reads what <see cref="ByteWriter"/> wrote, from bytes that are not trusted: nothing is read past their end.</summary>
/// <param name="name">Stands for the place in error messages.</param>
/// <param name="bytes">The bytes.</param>
ref struct ByteReader(string name, ReadOnlySpan<byte> bytes)
{
    ReadOnlySpan<byte> rest = bytes;

    /// <summary>Seven bits a byte; at most <paramref name="most"/>.</summary>
    public int Varint(string what, int most = int.MaxValue)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte part = Take(1, what)[0];
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80)
                break;
            if (shift == 28)
                throw Error($"{what} has more than five bytes");
        }
        return value <= (ulong)most ? (int)value : throw Error($"{what} is {value:N0}, wanted at most {most:N0}");
    }

    /// <summary>A finite number.</summary>
    public float Float(string what)
    {
        float value = BinaryPrimitives.ReadSingleLittleEndian(Take(4, what));
        return float.IsFinite(value) ? value : throw Error($"{what} is {value}, wanted a finite number");
    }

    /// <summary>64 bits.</summary>
    public ulong UInt64(string what) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, what));

    /// <summary>The next bytes.</summary>
    public ReadOnlySpan<byte> Take(int count, string what)
    {
        if (count > rest.Length)
            throw Error($"ends within {what}: {count:N0} bytes wanted, {rest.Length:N0} left");
        ReadOnlySpan<byte> taken = rest[..count];
        rest = rest[count..];
        return taken;
    }

    /// <summary>Throws unless all was read.</summary>
    public readonly void End()
    {
        if (rest.Length > 0)
            throw Error($"has {rest.Length:N0} bytes too many");
    }

    /// <summary>A failure that names the place.</summary>
    public readonly CoppiceException Error(string message) => new($"{name}: {message}");
}
