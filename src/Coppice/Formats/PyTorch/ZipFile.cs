using System.Buffers.Binary;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Formats.PyTorch;

/// <summary>Where the entries of a zip file lie, zip64's among them. They are stored as they are, so that tensors can be mapped; compressed ones are refused when they are asked for.</summary>
sealed class ZipFile
{
    const uint LocalHeader = 0x04034B50, CentralHeader = 0x02014B50, End = 0x06054B50, End64 = 0x06064B50, End64Locator = 0x07064B50;

    const int MaxDirectory = 100_000_000, EndBytes = 22, LocatorBytes = 20, End64Bytes = 56, CentralBytes = 46, LocalBytes = 30;

    readonly BinaryFile file;
    readonly Dictionary<string, Entry> entries = new(StringComparer.Ordinal);

    ZipFile(BinaryFile file) => this.file = file;

    /// <summary>The names of the entries.</summary>
    public IReadOnlyCollection<string> Names => entries.Keys;

    /// <summary>Whether a file starts as a zip does.</summary>
    public static bool Starts(ReadOnlySpan<byte> head) => head.Length >= 4 && BinaryPrimitives.ReadUInt32LittleEndian(head) == LocalHeader;

    /// <summary>Reads the directory at a file's end.</summary>
    /// <exception cref="CoppiceException">There is none, or it is damaged.</exception>
    public static ZipFile Read(BinaryFile file)
    {
        ZipFile zip = new(file);
        (long begin, long length, long count) = zip.FindDirectory();
        if (length > MaxDirectory)
            throw file.Error($"has a zip directory of {length:N0} bytes, wanted at most {MaxDirectory:N0}");
        if (begin < 0 || length < 0 || begin > file.Length - length)
            throw file.Error($"has a zip directory at [{begin:N0}, {begin + length:N0}], past the file's {file.Length:N0} bytes");
        byte[] directory = new byte[length];
        file.Read(begin, directory, "the zip directory");
        zip.ReadEntries(directory, count);
        return zip;
    }

    /// <summary>The bytes [begin, begin + length) of an entry; null where there is none of the name.</summary>
    /// <exception cref="CoppiceException">It is compressed or encrypted, or lies outside the file.</exception>
    public (long Begin, long Length)? Find(string name)
    {
        if (!entries.TryGetValue(name, out Entry entry))
            return null;
        if (entry.Method != 0)
            throw file.Error($"'{name}' is compressed by method {entry.Method}, wanted stored: save the model again");
        if ((entry.Flags & 1) != 0)
            throw file.Error($"'{name}' is encrypted");
        if (entry.Header < 0 || entry.Header > file.Length - LocalBytes)
            throw file.Error($"'{name}' begins at {entry.Header:N0}, past the file's {file.Length:N0} bytes");
        Span<byte> local = stackalloc byte[LocalBytes];
        file.Read(entry.Header, local, $"'{name}'");
        if (BinaryPrimitives.ReadUInt32LittleEndian(local) != LocalHeader)
            throw file.Error($"'{name}' has no header at {entry.Header:N0}");
        // Writers pad the extra field there to align what follows.
        long begin = entry.Header + LocalBytes + BinaryPrimitives.ReadUInt16LittleEndian(local[26..]) + BinaryPrimitives.ReadUInt16LittleEndian(local[28..]);
        return entry.Length >= 0 && begin <= file.Length - entry.Length ? (begin, entry.Length) : throw file.Error($"'{name}' has {entry.Length:N0} bytes at {begin:N0}, but the file has {file.Length:N0}; is it cut short?");
    }

    // The end record lies behind everything but a comment of at most 64 KB.
    (long Begin, long Length, long Count) FindDirectory()
    {
        byte[] tail = new byte[(int)Math.Min(file.Length, EndBytes + ushort.MaxValue + LocatorBytes)];
        file.Read(file.Length - tail.Length, tail, "the zip directory");
        for (int at = tail.Length - EndBytes; at >= 0; at--)
        {
            ReadOnlySpan<byte> end = tail.AsSpan(at);
            if (BinaryPrimitives.ReadUInt32LittleEndian(end) != End || BinaryPrimitives.ReadUInt16LittleEndian(end[20..]) != end.Length - EndBytes)
                continue;
            if (at >= LocatorBytes && BinaryPrimitives.ReadUInt32LittleEndian(tail.AsSpan(at - LocatorBytes)) == End64Locator)
                return FindDirectory64(BinaryPrimitives.ReadInt64LittleEndian(tail.AsSpan(at - LocatorBytes + 8)));
            return (BinaryPrimitives.ReadUInt32LittleEndian(end[16..]), BinaryPrimitives.ReadUInt32LittleEndian(end[12..]), BinaryPrimitives.ReadUInt16LittleEndian(end[10..]));
        }
        throw file.Error("has no zip directory at its end; is it cut short?");
    }

    (long Begin, long Length, long Count) FindDirectory64(long at)
    {
        if (at < 0 || at > file.Length - End64Bytes)
            throw file.Error($"has the zip64 record at {at:N0}, past the file's {file.Length:N0} bytes");
        Span<byte> end = stackalloc byte[End64Bytes];
        file.Read(at, end, "the zip64 record");
        return BinaryPrimitives.ReadUInt32LittleEndian(end) == End64
            ? (BinaryPrimitives.ReadInt64LittleEndian(end[48..]), BinaryPrimitives.ReadInt64LittleEndian(end[40..]), BinaryPrimitives.ReadInt64LittleEndian(end[32..]))
            : throw file.Error($"has no zip64 record at {at:N0}");
    }

    void ReadEntries(ReadOnlySpan<byte> directory, long count)
    {
        for (long i = 0; i < count; i++)
        {
            if (directory.Length < CentralBytes || BinaryPrimitives.ReadUInt32LittleEndian(directory) != CentralHeader)
                throw file.Error($"has {i:N0} entries in its zip directory, wanted {count:N0}");
            int nameLength = BinaryPrimitives.ReadUInt16LittleEndian(directory[28..]), extraLength = BinaryPrimitives.ReadUInt16LittleEndian(directory[30..]), commentLength = BinaryPrimitives.ReadUInt16LittleEndian(directory[32..]);
            if (directory.Length - CentralBytes < nameLength + extraLength + commentLength)
                throw file.Error($"has a zip directory that is cut short at entry {i:N0}");
            string name = Encoding.UTF8.GetString(directory.Slice(CentralBytes, nameLength));
            Entry entry = new(BinaryPrimitives.ReadUInt16LittleEndian(directory[8..]), BinaryPrimitives.ReadUInt16LittleEndian(directory[10..]),
                BinaryPrimitives.ReadUInt32LittleEndian(directory[24..]), BinaryPrimitives.ReadUInt32LittleEndian(directory[42..]));
            uint packed = BinaryPrimitives.ReadUInt32LittleEndian(directory[20..]);
            if (!entries.TryAdd(name, Extended(entry, packed, directory.Slice(CentralBytes + nameLength, extraLength))))
                throw file.Error($"has '{name}' twice in its zip directory");
            directory = directory[(CentralBytes + nameLength + extraLength + commentLength)..];
        }
    }

    // zip64's extra field holds, in this order, those of length, packed length and place that 32 bits had no room for.
    static Entry Extended(Entry entry, uint packed, ReadOnlySpan<byte> extra)
    {
        while (extra.Length >= 4)
        {
            int id = BinaryPrimitives.ReadUInt16LittleEndian(extra), size = Math.Min(BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]), extra.Length - 4);
            ReadOnlySpan<byte> field = extra.Slice(4, size);
            extra = extra[(4 + size)..];
            if (id != 1)
                continue;
            if (entry.Length == uint.MaxValue && Next(ref field) is { } length)
                entry = entry with { Length = length };
            if (packed == uint.MaxValue)
                Next(ref field);
            if (entry.Header == uint.MaxValue && Next(ref field) is { } header)
                entry = entry with { Header = header };
            break;
        }
        return entry;

        static long? Next(ref ReadOnlySpan<byte> field)
        {
            if (field.Length < 8)
                return null;
            long value = BinaryPrimitives.ReadInt64LittleEndian(field);
            field = field[8..];
            return value;
        }
    }

    readonly record struct Entry(ushort Flags, ushort Method, long Length, long Header);
}
