using System.Buffers.Binary;

namespace Coppice.Coding;

/// <summary>
/// Range asymmetric numeral systems (Duda 2013): symbols of a byte each take -log2(share) bits, fractions included. One 64-bit state x in [2^31, 2^63) that gives off and takes
/// in 32 bits at a time; the coder goes backwards so that the decoder goes forwards. A block is the table of shares, a number of words, the words, and the state.
/// </summary>
static class Rans
{
    const ulong Least = 1UL << 31;

    /// <summary>Appends a block with the symbols, whose number the reader has to know.</summary>
    public static void Write(ByteWriter writer, ReadOnlySpan<byte> symbols)
    {
        if (symbols.Length == 0)
            return;
        SymbolTable table = SymbolTable.Of(symbols);
        uint[] words = new uint[symbols.Length / 2 + 1];
        ulong state = Least;
        int count = 0;
        for (int i = symbols.Length - 1; i >= 0; i--)
        {
            // x < share 2^47 keeps the next state below 2^63: 2^47 = 2^31 / 2^16 * 2^32.
            ulong share = (ulong)table.Share[symbols[i]];
            if (state >= share << 47)
            {
                words[count++] = (uint)state;
                state >>= 32;
            }
            (ulong quotient, ulong slot) = Math.DivRem(state, share);
            state = (quotient << SymbolTable.Bits) + slot + (ulong)table.First[symbols[i]];
        }
        table.Write(writer);
        writer.Varint((uint)count);
        writer.UInt64(state);
        Span<byte> bytes = writer.Take(4 * count);
        for (int i = 0; i < count; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[(4 * i)..], words[count - 1 - i]);
    }

    /// <summary>Reads a block that is not trusted into exactly as many symbols as <paramref name="symbols"/> holds. The state must come back to where the coder began, with no word left.</summary>
    public static void Read(ref ByteReader reader, Span<byte> symbols)
    {
        if (symbols.Length == 0)
            return;
        SymbolTable table = SymbolTable.Read(ref reader);
        int left = reader.Varint("a number of words", symbols.Length / 2 + 1);
        ulong state = reader.UInt64("a state");
        ReadOnlySpan<byte> words = reader.Take(4 * left, "words");
        byte[] slots = table.Slots();
        const ulong mask = (1UL << SymbolTable.Bits) - 1;
        if (state is < Least or >= 1UL << 63)
            throw reader.Error("an entropy code that begins with an impossible state");
        for (int i = 0; i < symbols.Length; i++)
        {
            int slot = (int)(state & mask);
            byte symbol = slots[slot];
            symbols[i] = symbol;
            state = (ulong)table.Share[symbol] * (state >> SymbolTable.Bits) + (ulong)(slot - table.First[symbol]);
            if (state >= Least)
                continue;
            if (words.IsEmpty)
                throw reader.Error($"an entropy code that ends after {i:N0} of {symbols.Length:N0} symbols");
            state = state << 32 | BinaryPrimitives.ReadUInt32LittleEndian(words);
            words = words[4..];
        }
        if (state != Least || !words.IsEmpty)
            throw reader.Error("an entropy code that is damaged: it does not end where it began");
    }
}
