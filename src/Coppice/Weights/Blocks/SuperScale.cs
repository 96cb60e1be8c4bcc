using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>Rounds a block of eight or sixteen groups to w = d s l: one half d, a small whole number s for each group, and a level l for each weight.</summary>
static class SuperScale
{
    /// <summary>Finds all three by the sum of squared errors, never further from the numbers than with the scales that just cover each group. d is infinite where the numbers are too large for it.</summary>
    public static void Search<TL>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockShape shape, BlockParts parts) where TL : struct, ILevels
    {
        if (importance.IsEmpty)
            Search<TL, EvenWeights>(values, importance, shape, parts);
        else
            Search<TL, GivenWeights>(values, importance, shape, parts);
    }

    [SkipLocalsInit]
    static void Search<TL, TW>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockShape shape, BlockParts parts) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        int size = shape.GroupSize, groups = values.Length / size, rounds = groups / GroupLanes.Count;
        (int Least, int Most) limits = shape.Scales;
        Span<Vector256<float>> numbers = stackalloc Vector256<float>[values.Length / GroupLanes.Count], weights = stackalloc Vector256<float>[importance.Length / GroupLanes.Count];
        GroupLanes.Deal(values, size, numbers);
        GroupLanes.Deal(importance, size, weights);
        GroupLanes all = new(numbers, weights);
        Span<Vector256<float>> plain = stackalloc Vector256<float>[rounds], searched = stackalloc Vector256<float>[rounds], s = stackalloc Vector256<float>[rounds], tried = stackalloc Vector256<float>[rounds];
        s.Clear();
        tried.Clear();
        for (int i = 0; i < rounds; i++)
        {
            GroupLanes x = all.Of(i * GroupLanes.Count, size);
            (plain[i], searched[i]) = (ScaleSearch.Plain<TL>(x), ScaleSearch.Best<TL, TW>(x));
        }
        Half best = Covering(plain, limits.Least);
        parts.Units[0] = best;
        if (!Half.IsFinite(best))
            return;
        float least = Fit<TL, TW>(all, size, plain, limits, best, reach: 0, s);
        for (int attempt = 0; attempt < 2; attempt++)
        {
            Half unit = attempt == 0 ? Covering(searched, limits.Least) : Refit<TL, TW>(all, size, s, best);
            float error = Fit<TL, TW>(all, size, searched, limits, unit, reach: 1, tried);
            if (!(error < least))
                continue;
            (best, least) = (unit, error);
            tried.CopyTo(s);
        }
        parts.Units[0] = best;
        for (int i = 0; i < rounds; i++)
        {
            ScaleSearch.RoundToCodes<TL>(all.Of(i * GroupLanes.Count, size), Vector256.Create((float)best) * s[i], numbers.Slice(i * size, size));
            GroupLanes.ToBytes(s[i], parts.Scales[(i * GroupLanes.Count)..]);
        }
        GroupLanes.Gather(numbers, size, parts.Codes);
    }

    // d that takes the group scale of largest magnitude to the furthest s, the least.
    static Half Covering(ReadOnlySpan<Vector256<float>> scales, int least)
    {
        Vector256<float> furthest = default;
        foreach (Vector256<float> own in scales)
            furthest = ScaleSearch.Further(own, furthest);
        float extreme = 0;
        for (int lane = 0; lane < GroupLanes.Count; lane++)
            if (Math.Abs(furthest[lane]) > Math.Abs(extreme))
                extreme = furthest[lane];
        return (Half)(extreme / least);
    }

    // For each group the best of the whole numbers within reach of wanted / d. Returns the sum of squared errors.
    static float Fit<TL, TW>(GroupLanes all, int size, ReadOnlySpan<Vector256<float>> wanted, (int Least, int Most) limits, Half unit, int reach, Span<Vector256<float>> s)
        where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        Vector256<float> d = Vector256.Create((float)unit), inverse = Vector256.Create(unit == default ? 0 : 1 / (float)unit), lowest = Vector256.Create((float)limits.Least), highest = Vector256.Create((float)limits.Most), total = default;
        for (int i = 0; i < wanted.Length; i++)
        {
            GroupLanes x = all.Of(i * GroupLanes.Count, size);
            Vector256<float> middle = Vector256.Min(Vector256.Max(Vector256.Round(wanted[i] * inverse), lowest), highest), least = Vector256.Create(float.PositiveInfinity);
            if (reach > 0)
            {
                Vector256<float> below = Vector256.Max(middle - Vector256<float>.One, lowest), above = Vector256.Min(middle + Vector256<float>.One, highest);
                (Vector256<float> a, Vector256<float> b, Vector256<float> c) = ScaleSearch.Errors<TL, TW>(x, d * below, d * middle, d * above);
                Take(a, below, ref least, ref s[i]);
                Take(b, middle, ref least, ref s[i]);
                Take(c, above, ref least, ref s[i]);
            }
            else
                Take(ScaleSearch.Error<TL, TW>(x, d * middle), middle, ref least, ref s[i]);
            total += least;
        }
        return Vector256.Sum(total);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Take(Vector256<float> error, Vector256<float> scale, ref Vector256<float> least, ref Vector256<float> s)
    {
        Vector256<float> isBetter = Vector256.LessThan(error, least);
        least = Vector256.ConditionalSelect(isBetter, error, least);
        s = Vector256.ConditionalSelect(isBetter, scale, s);
    }

    // With levels and scales as they are, d = sum x s l / sum (s l)^2.
    static Half Refit<TL, TW>(GroupLanes all, int size, ReadOnlySpan<Vector256<float>> s, Half unit) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        Vector256<float> products = default, squares = default;
        for (int i = 0; i < s.Length; i++)
        {
            (Vector256<float> Products, Vector256<float> Squares) own = ScaleSearch.Sums<TL, TW>(all.Of(i * GroupLanes.Count, size), Vector256.Create((float)unit) * s[i]);
            products += s[i] * own.Products;
            squares += s[i] * s[i] * own.Squares;
        }
        double sum = Vector256.Sum(squares);
        return (Half)(sum > 0 ? Vector256.Sum(products) / sum : 0);
    }
}
