using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.Normalizers;

/// <summary>
/// SentencePiece's precompiled map of character sequences: uint32 bytes of the trie, the trie as a double array (darts-clone) of little-endian uint32 units, then replacements that end in a zero byte, named by their offset.
/// </summary>
sealed class PrecompiledMap
{
    readonly uint[] units;
    readonly byte[] replacements;

    /// <summary>Reads the map's bytes.</summary>
    /// <exception cref="CoppiceException">They are cut short.</exception>
    public PrecompiledMap(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 4 || BinaryPrimitives.ReadUInt32LittleEndian(bytes) is uint length && (length > bytes.Length - 4 || length % 4 != 0 || length == 0))
            throw new CoppiceException($"a map of {bytes.Length} bytes whose trie does not fit in it");
        units = new uint[BinaryPrimitives.ReadUInt32LittleEndian(bytes) / 4];
        for (int i = 0; i < units.Length; i++)
            units[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(4 + 4 * i)..]);
        replacements = bytes[(4 + 4 * units.Length)..].ToArray();
        Bytes = bytes.ToArray();
        Hash = Convert.ToHexStringLower(SHA256.HashData(bytes));
    }

    /// <summary>The map as it is stored.</summary>
    public byte[] Bytes { get; }

    /// <summary>SHA-256 of the bytes.</summary>
    public string Hash { get; }

    public override string ToString() => Hash;

    public override bool Equals(object? other) => other is PrecompiledMap map && map.Hash == Hash;

    public override int GetHashCode() => Hash.GetHashCode(StringComparison.Ordinal);

    /// <summary>Reads a map from a JSON text.</summary>
    public static PrecompiledMap? FromBase64(JsonPart part)
    {
        string text = part.Text();
        if (text.Length == 0)
            return null;
        byte[] bytes = new byte[text.Length];
        try
        {
            return Convert.TryFromBase64String(text, bytes, out int count) ? new PrecompiledMap(bytes.AsSpan(0, count)) : throw part.Error("is not base 64");
        }
        catch (CoppiceException error) when (!error.Message.StartsWith(part.Path, StringComparison.Ordinal))
        {
            throw part.Error($"is {error.Message}");
        }
    }

    /// <summary>The first (shortest) or last (longest) entry that a text begins with: bytes of the text that it stands for, and what they become; null where there is none.</summary>
    public (int Length, string Replacement)? Match(ReadOnlySpan<byte> text, bool longest)
    {
        (int Length, int Offset) best = (0, -1);
        uint at = Offset(units[0]);
        for (int i = 0; i < text.Length && text[i] != 0; i++)
        {
            at ^= text[i];
            // a unit is its label (and a sign that marks values), a flag for a value below it, and the offset of its children
            if (at >= (uint)units.Length || (units[at] & 0x800000FF) != text[i])
                break;
            bool hasValue = (units[at] >> 8 & 1) == 1;
            at ^= Offset(units[at]);
            if (hasValue && at < (uint)units.Length)
            {
                best = (i + 1, (int)(units[at] & 0x7FFFFFFF));
                if (!longest)
                    break;
            }
        }
        if (best.Offset < 0 || best.Offset >= replacements.Length)
            return null;
        ReadOnlySpan<byte> rest = replacements.AsSpan(best.Offset);
        int end = rest.IndexOf((byte)0);
        return (best.Length, Encoding.UTF8.GetString(end < 0 ? rest : rest[..end]));
    }

    static uint Offset(uint unit) => unit >> 10 << (int)((unit & 1 << 9) >> 6);
}
