namespace Coppice.Coding;

/// <summary>How often each of up to 256 symbols comes, as whole shares of 2^16: what <see cref="Rans"/> codes with. Sent ahead of the symbols.</summary>
sealed class SymbolTable
{
    /// <summary>All shares together are 2^16: fine enough for symbols that come once in 65,536.</summary>
    public const int Bits = 16;

    const int Total = 1 << Bits;

    // first[s] is the sum of the shares of all symbols below s.
    readonly int[] share, first = new int[256];

    SymbolTable(int[] share)
    {
        this.share = share;
        for (int symbol = 1; symbol < 256; symbol++)
            first[symbol] = first[symbol - 1] + share[symbol - 1];
    }

    /// <summary>Of 2^16; 0 where the symbol never comes.</summary>
    public ReadOnlySpan<int> Share => share;

    /// <summary>Where its slots begin.</summary>
    public ReadOnlySpan<int> First => first;

    /// <summary>The table for symbols, at least one: their counts scaled to 2^16, none that comes below 1, and the rest where it changes the length of the code least.</summary>
    public static SymbolTable Of(ReadOnlySpan<byte> symbols)
    {
        long[] counts = new long[256];
        foreach (byte symbol in symbols)
            counts[symbol]++;
        int[] share = new int[256];
        int left = Total;
        for (int symbol = 0; symbol < 256; symbol++)
            if (counts[symbol] > 0)
                left -= share[symbol] = (int)Math.Max(1, counts[symbol] * Total / symbols.Length);
        for (; left != 0; left -= Math.Sign(left))
            share[Best(counts, share, Math.Sign(left))] += Math.Sign(left);
        return new SymbolTable(share);
    }

    // The symbol whose share grows or shrinks by one at the largest gain (least cost): counts log2(share) is its part of the length.
    static int Best(long[] counts, int[] share, int step)
    {
        int best = -1;
        double most = double.NegativeInfinity;
        for (int symbol = 0; symbol < 256; symbol++)
        {
            if (counts[symbol] == 0 || share[symbol] + step < 1)
                continue;
            double gain = counts[symbol] * Math.Log((share[symbol] + step) / (double)share[symbol]);
            if (gain > most)
                (best, most) = (symbol, gain);
        }
        return best;
    }

    /// <summary>Writes how many symbols come; then for each its distance from the one before, less one, and its share, less one.</summary>
    public void Write(ByteWriter writer)
    {
        writer.Varint((uint)share.Count(part => part > 0));
        int next = 0;
        for (int symbol = 0; symbol < 256; symbol++)
            if (share[symbol] > 0)
            {
                writer.Varint((uint)(symbol - next));
                writer.Varint((uint)(share[symbol] - 1));
                next = symbol + 1;
            }
    }

    /// <summary>Reads a table that is not trusted: its shares are 2^16 together.</summary>
    public static SymbolTable Read(ref ByteReader reader)
    {
        int[] share = new int[256];
        int count = reader.Varint("a number of symbols", 256), next = 0, left = Total;
        for (int i = 0; i < count; i++)
        {
            next += reader.Varint("a symbol", 255);
            if (next > 255)
                throw reader.Error($"symbol {next}, wanted at most 255");
            share[next] = reader.Varint("a share", Total - 1) + 1;
            left -= share[next++];
        }
        return left == 0 ? new SymbolTable(share) : throw reader.Error($"shares of {Total - left:N0} together, wanted {Total:N0}");
    }

    /// <summary>The symbol of each of the 2^16 slots.</summary>
    public byte[] Slots()
    {
        byte[] slots = new byte[Total];
        for (int symbol = 0; symbol < 256; symbol++)
            slots.AsSpan(first[symbol], share[symbol]).Fill((byte)symbol);
        return slots;
    }
}
