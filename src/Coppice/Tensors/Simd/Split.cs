namespace Coppice.Tensors.Simd;

/// <summary>Static partition of a range among threads.</summary>
internal static class Split
{
    /// <summary>The part's share of <paramref name="count"/> items, in whole units of <paramref name="unit"/> except at the end; shares differ by one unit at most.</summary>
    public static (int Start, int Count) Part(int count, int unit, int parts, int part)
    {
        long units = (count + (long)unit - 1) / unit;
        int start = (int)Math.Min(units * part / parts * unit, count);
        int end = (int)Math.Min(units * (part + 1) / parts * unit, count);
        return (start, end - start);
    }
}
