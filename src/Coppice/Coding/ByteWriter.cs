using System.Buffers.Binary;

namespace Coppice.Coding;

/// <summary>Bytes of a code, from the first on. <see cref="ByteReader"/> reads them.</summary>
sealed class ByteWriter
{
    byte[] buffer = new byte[256];

    /// <summary>Bytes so far.</summary>
    public int Length { get; private set; }

    /// <summary>All of them.</summary>
    public byte[] ToArray() => buffer.AsSpan(0, Length).ToArray();

    /// <summary>Seven bits a byte, lowest first; the highest bit says that more follow.</summary>
    public void Varint(uint value)
    {
        for (; value >= 0x80; value >>= 7)
            Take(1)[0] = (byte)(value | 0x80);
        Take(1)[0] = (byte)value;
    }

    /// <summary>IEEE single, little-endian.</summary>
    public void Float(float value) => BinaryPrimitives.WriteSingleLittleEndian(Take(4), value);

    /// <summary>64 bits, little-endian.</summary>
    public void UInt64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(8), value);

    /// <summary>Bytes as they are.</summary>
    public void Bytes(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Take(bytes.Length));

    /// <summary>The next <paramref name="count"/> bytes, to be filled before anything else is written.</summary>
    public Span<byte> Take(int count)
    {
        int end = checked(Length + count);
        if (end > buffer.Length)
            Array.Resize(ref buffer, (int)Math.Clamp(2L * buffer.Length, end, Array.MaxLength));
        Span<byte> taken = buffer.AsSpan(Length, count);
        Length = end;
        return taken;
    }
}
