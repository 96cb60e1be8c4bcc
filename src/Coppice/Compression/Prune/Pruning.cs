using Coppice.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>Which numbers go, given a score for each: the lowest scores, and of equal ones the first.</summary>
internal static class Pruning
{
    /// <summary>How many of <paramref name="count"/> go.</summary>
    public static int CountOf(int count, double sparsity) => (int)Math.Round(count * sparsity, MidpointRounding.ToEven);

    /// <summary>Clears <paramref name="keep"/> at the <paramref name="drop"/> lowest of the scores (not negative, finite) and sets it elsewhere. <paramref name="keys"/> is scratch as long as the scores.</summary>
    public static void Lowest(ReadOnlySpan<float> scores, int drop, Span<ulong> keys, Span<bool> keep)
    {
        // The bits of a float that is not negative order as the float does; the place below them decides between equals.
        for (int i = 0; i < scores.Length; i++)
            keys[i] = (ulong)BitConverter.SingleToUInt32Bits(scores[i]) << 32 | (uint)i;
        keys.Sort();
        keep.Fill(true);
        foreach (ulong key in keys[..drop])
            keep[(int)(uint)key] = false;
    }

    /// <summary>In every <see cref="SparsityPattern.Of"/> neighbours keeps the <see cref="SparsityPattern.Keep"/> highest.</summary>
    public static void Pattern(ReadOnlySpan<float> scores, SparsityPattern pattern, Span<bool> keep)
    {
        Span<ulong> keys = stackalloc ulong[64];
        for (int start = 0; start < scores.Length; start += pattern.Of)
            Lowest(scores.Slice(start, pattern.Of), pattern.Of - pattern.Keep, keys[..pattern.Of], keep.Slice(start, pattern.Of));
    }

    /// <summary>The mask for scores [rows, columns], each row by itself; by <paramref name="pattern"/> where there is one.</summary>
    public static bool[] Rows(WorkerPool pool, float[] scores, int columns, double sparsity, SparsityPattern? pattern)
    {
        bool[] keep = new bool[scores.Length];
        RowJob job = new(scores, columns, CountOf(columns, sparsity), pattern, keep);
        pool.Run(scores.Length / columns, ref job);
        return keep;
    }

    /// <summary>The mask for all scores together.</summary>
    public static bool[] Whole(float[] scores, double sparsity)
    {
        bool[] keep = new bool[scores.Length];
        Lowest(scores, CountOf(scores.Length, sparsity), keep);
        return keep;
    }

    /// <summary>As the other, by counting instead of sorting: for many scores.</summary>
    public static void Lowest(ReadOnlySpan<float> scores, int drop, Span<bool> keep)
    {
        keep.Fill(true);
        if (drop == 0)
            return;
        long[] counts = new long[1 << 16];
        CountUpper(scores, 1, counts);
        (uint upper, long left) = Find(counts, drop);
        counts.AsSpan().Clear();
        CountLower(scores, 1, upper, counts);
        (uint lower, long equal) = Find(counts, left);
        float highest = BitConverter.UInt32BitsToSingle(upper << 16 | lower);
        for (int i = 0; i < scores.Length; i++)
            if (scores[i] < highest || scores[i] == highest && equal-- > 0)
                keep[i] = false;
    }

    /// <summary>The highest score that goes if the <paramref name="drop"/> (1 or more) lowest of several matrices' scores, each times its matrix's factor, do; and how many of those that equal it.</summary>
    public static (float Highest, long Equal) Cut(IReadOnlyList<float[]> scores, ReadOnlySpan<float> factors, long drop)
    {
        // The upper and then the lower half of its bits.
        long[] counts = new long[1 << 16];
        for (int m = 0; m < factors.Length; m++)
            CountUpper(scores[m], factors[m], counts);
        (uint upper, long left) = Find(counts, drop);
        counts.AsSpan().Clear();
        for (int m = 0; m < factors.Length; m++)
            CountLower(scores[m], factors[m], upper, counts);
        (uint lower, long equal) = Find(counts, left);
        return (BitConverter.UInt32BitsToSingle(upper << 16 | lower), equal);
    }

    static void CountUpper(ReadOnlySpan<float> scores, float factor, long[] counts)
    {
        foreach (float score in scores)
            counts[BitConverter.SingleToUInt32Bits(score * factor) >> 16]++;
    }

    static void CountLower(ReadOnlySpan<float> scores, float factor, uint upper, long[] counts)
    {
        foreach (float score in scores)
            if (BitConverter.SingleToUInt32Bits(score * factor) is uint bits && bits >> 16 == upper)
                counts[bits & 0xffff]++;
    }

    // The place at which the counts reach a number, and how much of that number is left to it.
    static (uint Place, long Left) Find(long[] counts, long number)
    {
        uint place = 0;
        while (number > counts[place])
            number -= counts[place++];
        return (place, number);
    }

    /// <summary>Why a pattern cannot be laid over rows of this length, or null.</summary>
    public static string? Refuses(SparsityPattern? pattern, int columns) => pattern is { } p && columns % p.Of != 0
        ? $"pattern {p} needs a number of inputs that {p.Of} divides, found {columns}"
        : null;

    readonly struct RowJob(float[] scores, int columns, int drop, SparsityPattern? pattern, bool[] keep) : IJob
    {
        public void Execute(int part)
        {
            ReadOnlySpan<float> row = scores.AsSpan(part * columns, columns);
            Span<bool> kept = keep.AsSpan(part * columns, columns);
            if (pattern is { } p)
                Pattern(row, p, kept);
            else
                Lowest(row, drop, new ulong[columns], kept);
        }
    }
}
