using System.Buffers.Binary;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Formats.PyTorch;

/// <summary>A pickle's bytes in order, through a window, with everything that they say of lengths held against their end.</summary>
sealed class PickleBytesReader(BinaryFile file, long begin, long end, string what)
{
    // Names are short; what is longer is no state dict's.
    const int MaxText = 1 << 20;

    readonly byte[] window = new byte[(int)Math.Clamp(end - begin, 16, 1 << 16)];
    long windowBegin = begin;
    int windowLength;
    long copied;

    /// <summary>The byte that is read next.</summary>
    public long Position { get; private set; } = begin;

    public byte Byte() => Take(1)[0];

    public ushort UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));

    public int Int32() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    // The one number that pickles store with its first byte first.
    public double Double() => BinaryPrimitives.ReadDoubleBigEndian(Take(8));

    /// <summary>UTF-8, in which lone surrogates and the like become replacement characters.</summary>
    public string Text(ulong length) => length <= MaxText ? Encoding.UTF8.GetString(Take((int)length)) : throw Error($"has a text of {length:N0} bytes, wanted at most {MaxText:N0}");

    /// <summary>A text up to the next line feed.</summary>
    public string Line()
    {
        StringBuilder line = new();
        for (byte next = Byte(); next != '\n'; next = Byte())
            if (line.Append((char)next).Length > 1000)
                throw Error("has a name of more than 1,000 bytes");
        return line.ToString();
    }

    /// <summary>A whole number in two's complement of at most 255 bytes.</summary>
    public object Long(uint length)
    {
        if (length > 255)
            throw Error($"has a whole number of {length:N0} bytes, wanted at most 255");
        System.Numerics.BigInteger number = new(Take((int)length));
        return number >= long.MinValue && number <= long.MaxValue ? (object)(long)number : number;
    }

    public void Skip(ulong length)
    {
        if (length > (ulong)(end - Position))
            throw Error($"goes on for {length:N0} bytes past byte {Position:N0}, but ends at {end:N0}");
        Position += (long)length;
    }

    /// <summary>Counts items that are copied from one value to another, which a short file can ask for again and again.</summary>
    public void Charge(int items)
    {
        copied += items;
        if (copied > Pickle.MaxOpcodes)
            throw Error($"copies more than {Pickle.MaxOpcodes:N0} items");
    }

    public CoppiceException Error(string message) => file.Error($"{what} {message} (before byte {Position:N0})");

    ReadOnlySpan<byte> Take(int length)
    {
        if (length > end - Position)
            throw Error($"is cut short: wanted {length:N0} more bytes");
        long at = Position;
        Position += length;
        if (length > window.Length)
        {
            byte[] large = new byte[length];
            file.Read(at, large, what);
            return large;
        }
        if (at < windowBegin || at + length > windowBegin + windowLength)
        {
            (windowBegin, windowLength) = (at, (int)Math.Min(window.Length, end - at));
            file.Read(at, window.AsSpan(0, windowLength), what);
        }
        return window.AsSpan((int)(at - windowBegin), length);
    }
}
