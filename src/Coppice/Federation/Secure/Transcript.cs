using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Coppice.Federation.Secure;

/// <summary>SHA-256 over fields, each with its length before it (u32, little-endian), so that no two different lists of fields are the same bytes. The first field says what is hashed.</summary>
sealed class Transcript : IDisposable
{
    readonly IncrementalHash sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    /// <summary>Begins with <c>coppice.secure.1</c> and a purpose.</summary>
    public Transcript(string purpose) => Add("coppice.secure.1").Add(purpose);

    /// <summary>UTF-8.</summary>
    public Transcript Add(string text) => Add(Encoding.UTF8.GetBytes(text));

    /// <summary>8 bytes, little-endian.</summary>
    public Transcript Add(long number)
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        return Add(bytes);
    }

    /// <summary>The 8 bytes of an IEEE double, little-endian.</summary>
    public Transcript Add(double number) => Add(BitConverter.DoubleToInt64Bits(number));

    /// <summary>Bytes as they are.</summary>
    public Transcript Add(ReadOnlySpan<byte> bytes)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
        sha.AppendData(length);
        sha.AppendData(bytes);
        return this;
    }

    /// <summary>How many, then each.</summary>
    public Transcript Add(IReadOnlyCollection<string> names)
    {
        Add(names.Count);
        foreach (string name in names)
            Add(name);
        return this;
    }

    /// <summary>32 bytes.</summary>
    public byte[] Hash() => sha.GetHashAndReset();

    public void Dispose() => sha.Dispose();
}
