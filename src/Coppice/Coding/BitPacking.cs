using System.Runtime.InteropServices;

namespace Coppice.Coding;

/// <summary>Small codes as a dense stream of bits in 32-bit words, least significant bits first; a code may straddle two words.</summary>
static class BitPacking
{
    /// <summary>Words for <paramref name="count"/> codes of <paramref name="bits"/> bits.</summary>
    public static int Words(int count, int bits) => (int)(((long)count * bits + 31) / 32);

    /// <summary>Packs codes of 1 to 8 bits. Higher bits of a code must be 0. Bits left over in the last word are 0.</summary>
    public static void Pack(ReadOnlySpan<byte> codes, int bits, Span<uint> words)
    {
        words = words[..Words(codes.Length, bits)];
        if (bits == 8)
        {
            words[(codes.Length / 4)..].Clear();
            codes.CopyTo(MemoryMarshal.AsBytes(words));
            return;
        }
        ulong buffer = 0;
        int filled = 0, word = 0;
        foreach (byte code in codes)
        {
            buffer |= (ulong)code << filled;
            filled += bits;
            if (filled < 32)
                continue;
            words[word++] = (uint)buffer;
            buffer >>= 32;
            filled -= 32;
        }
        if (filled > 0)
            words[word] = (uint)buffer;
    }

    /// <summary>Unpacks as many codes of 1 to 8 bits as <paramref name="codes"/> holds, from the first word's first bit on.</summary>
    public static void Unpack(ReadOnlySpan<uint> words, int bits, Span<byte> codes)
    {
        if (bits == 8)
        {
            MemoryMarshal.AsBytes(words)[..codes.Length].CopyTo(codes);
            return;
        }
        ulong buffer = 0;
        int filled = 0, word = 0;
        uint mask = (1u << bits) - 1;
        for (int i = 0; i < codes.Length; i++)
        {
            if (filled < bits)
            {
                buffer |= (ulong)words[word++] << filled;
                filled += 32;
            }
            codes[i] = (byte)((uint)buffer & mask);
            buffer >>= bits;
            filled -= bits;
        }
    }

    /// <summary>Packs codes of 1 to 32 bits. Higher bits of a code must be 0. Bits left over in the last word are 0.</summary>
    public static void Pack(ReadOnlySpan<uint> codes, int bits, Span<uint> words)
    {
        ulong buffer = 0;
        int filled = 0, word = 0;
        foreach (uint code in codes)
        {
            buffer |= (ulong)code << filled;
            filled += bits;
            if (filled < 32)
                continue;
            words[word++] = (uint)buffer;
            buffer >>= 32;
            filled -= 32;
        }
        if (filled > 0)
            words[word] = (uint)buffer;
    }

    /// <summary>Unpacks as many codes of 1 to 32 bits as <paramref name="codes"/> holds, from the first word's first bit on.</summary>
    public static void Unpack(ReadOnlySpan<uint> words, int bits, Span<uint> codes)
    {
        ulong buffer = 0, mask = (1UL << bits) - 1;
        int filled = 0, word = 0;
        for (int i = 0; i < codes.Length; i++)
        {
            if (filled < bits)
            {
                buffer |= (ulong)words[word++] << filled;
                filled += 32;
            }
            codes[i] = (uint)(buffer & mask);
            buffer >>= bits;
            filled -= bits;
        }
    }
}
