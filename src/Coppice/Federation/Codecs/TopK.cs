namespace Coppice.Federation.Codecs;

/// <summary>The places of the numbers farthest from 0.</summary>
static class TopK
{
    const int LowBits = 15;

    /// <summary>Indices of the <paramref name="count"/> largest magnitudes, rising; of equal ones the first.</summary>
    public static int[] Indices(ReadOnlySpan<float> values, int count)
    {
        // Magnitudes sort as their bits do: first by the upper 16, then, of those where the limit falls, by the lower 15.
        int[] high = new int[1 << 16], low = new int[1 << LowBits];
        foreach (float value in values)
            high[Bits(value) >> LowBits]++;
        int left = count, upper = Limit(high, ref left);
        foreach (float value in values)
            if (Bits(value) >> LowBits == upper)
                low[Bits(value) & (1 << LowBits) - 1]++;
        int limit = upper << LowBits | Limit(low, ref left);

        int[] indices = new int[count];
        int found = 0;
        for (int i = 0; i < values.Length && found < count; i++)
        {
            int bits = Bits(values[i]);
            if (bits > limit || bits == limit && left-- > 0)
                indices[found++] = i;
        }
        return indices;
    }

    // The highest bin that does not fit whole, and how many of it do.
    static int Limit(int[] bins, ref int left)
    {
        int bin = bins.Length - 1;
        for (; bin > 0 && bins[bin] <= left; bin--)
            left -= bins[bin];
        return bin;
    }

    static int Bits(float value) => BitConverter.SingleToInt32Bits(value) & int.MaxValue;
}
