using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>Rounds a block of eight or sixteen groups to w = d s q - dmin m: halves d and dmin, small whole numbers s and m for each group, and a code q for each weight.</summary>
static class SuperAffine
{
    /// <summary>Finds them by the sum of squared errors, never further from the numbers than with the scales and minima that just cover each group. d or dmin is infinite where the numbers are too large.</summary>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockShape shape, BlockParts parts)
    {
        if (importance.IsEmpty)
            Search<EvenWeights>(values, importance, shape, parts);
        else
            Search<GivenWeights>(values, importance, shape, parts);
    }

    [SkipLocalsInit]
    static void Search<TW>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockShape shape, BlockParts parts) where TW : struct, IErrorWeights
    {
        int size = shape.GroupSize, groups = values.Length / size, most = shape.Levels.Length - 1, limit = shape.Scales.Most, rounds = groups / GroupLanes.Count;
        Span<Vector256<float>> numbers = stackalloc Vector256<float>[values.Length / GroupLanes.Count], weights = stackalloc Vector256<float>[importance.Length / GroupLanes.Count];
        GroupLanes.Deal(values, size, numbers);
        GroupLanes.Deal(importance, size, weights);
        GroupLanes all = new(numbers, weights);
        Span<Vector256<float>> plainScales = stackalloc Vector256<float>[rounds], plainMins = stackalloc Vector256<float>[rounds], scales = stackalloc Vector256<float>[rounds], mins = stackalloc Vector256<float>[rounds];
        for (int i = 0; i < rounds; i++)
        {
            GroupLanes x = all.Of(i * GroupLanes.Count, size);
            (plainScales[i], plainMins[i]) = AffineSearch.Plain(x, most);
            (scales[i], mins[i]) = AffineSearch.Best<TW>(x, (plainScales[i], plainMins[i]), most);
        }
        (Half, Half) best = (Covering(plainScales, limit), Covering(plainMins, limit));
        (parts.Units[0], parts.Units[1]) = best;
        if (!Half.IsFinite(best.Item1) || !Half.IsFinite(best.Item2))
            return;
        Span<Vector256<float>> s = stackalloc Vector256<float>[rounds], m = stackalloc Vector256<float>[rounds], triedS = stackalloc Vector256<float>[rounds], triedM = stackalloc Vector256<float>[rounds];
        s.Clear();
        m.Clear();
        float least = Fit<TW>(all, size, plainScales, plainMins, most, limit, best, reach: 0, s, m);
        for (int attempt = 0; attempt < 2; attempt++)
        {
            (Half, Half) units = attempt == 0 ? (Covering(scales, limit), Covering(mins, limit)) : Refit<TW>(all, size, s, m, most, best);
            float error = Fit<TW>(all, size, scales, mins, most, limit, units, reach: attempt, triedS, triedM);
            if (!(error < least))
                continue;
            (best, least) = (units, error);
            triedS.CopyTo(s);
            triedM.CopyTo(m);
        }
        (parts.Units[0], parts.Units[1]) = best;
        for (int i = 0; i < rounds; i++)
        {
            AffineSearch.Round(all.Of(i * GroupLanes.Count, size), Vector256.Create((float)best.Item1) * s[i], Vector256.Create((float)best.Item2) * m[i], most, numbers.Slice(i * size, size));
            for (int lane = 0; lane < GroupLanes.Count; lane++)
                (parts.Scales[i * GroupLanes.Count + lane], parts.Mins[i * GroupLanes.Count + lane]) = ((sbyte)s[i][lane], (sbyte)m[i][lane]);
        }
        GroupLanes.Gather(numbers, size, parts.Codes);
    }

    // The unit that takes the largest to the limit.
    static Half Covering(ReadOnlySpan<Vector256<float>> wanted, int limit)
    {
        Vector256<float> largest = default;
        foreach (Vector256<float> own in wanted)
            largest = Vector256.Max(largest, own);
        Vector128<float> four = Vector128.Max(largest.GetLower(), largest.GetUpper());
        return (Half)(Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3])) / limit);
    }

    // For each group the best of the pairs of whole numbers within reach of scale / d and min / dmin. Returns the sum of squared errors.
    static float Fit<TW>(GroupLanes all, int size, ReadOnlySpan<Vector256<float>> scales, ReadOnlySpan<Vector256<float>> mins, int most, int limit, (Half Scale, Half Min) units, int reach, Span<Vector256<float>> s, Span<Vector256<float>> m)
        where TW : struct, IErrorWeights
    {
        Vector256<float> d = Vector256.Create((float)units.Scale), dmin = Vector256.Create((float)units.Min), end = Vector256.Create((float)limit), one = Vector256<float>.One, total = default;
        for (int i = 0; i < scales.Length; i++)
        {
            GroupLanes x = all.Of(i * GroupLanes.Count, size);
            Vector256<float> middle = Near(scales[i], d, end), middleMin = Near(mins[i], dmin, end), least = Vector256.Create(float.PositiveInfinity);
            for (int dm = -reach; dm <= reach; dm++)
            {
                Vector256<float> below = Within(middle - one, end), above = Within(middle + one, end), min = Within(middleMin + Vector256.Create((float)dm), end);
                if (reach > 0)
                {
                    (Vector256<float> a, Vector256<float> b, Vector256<float> c) = AffineSearch.Errors<TW>(x, (d * below, d * middle, d * above), dmin * min, most);
                    Take(a, below, min, ref least, ref s[i], ref m[i]);
                    Take(b, middle, min, ref least, ref s[i], ref m[i]);
                    Take(c, above, min, ref least, ref s[i], ref m[i]);
                }
                else
                    Take(AffineSearch.Error<TW>(x, d * middle, dmin * min, most), middle, min, ref least, ref s[i], ref m[i]);
            }
            total += least;
        }
        return Vector256.Sum(total);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Take(Vector256<float> error, Vector256<float> scale, Vector256<float> min, ref Vector256<float> least, ref Vector256<float> s, ref Vector256<float> m)
    {
        Vector256<float> isBetter = Vector256.LessThan(error, least);
        least = Vector256.ConditionalSelect(isBetter, error, least);
        s = Vector256.ConditionalSelect(isBetter, scale, s);
        m = Vector256.ConditionalSelect(isBetter, min, m);
    }

    // A unit of 0 has only 0.
    static Vector256<float> Near(Vector256<float> wanted, Vector256<float> unit, Vector256<float> limit) =>
        Vector256.ConditionalSelect(Vector256.Equals(unit, default), default, Within(Vector256.Round(wanted / unit), limit));

    static Vector256<float> Within(Vector256<float> number, Vector256<float> limit) => Vector256.Min(Vector256.Max(number, default), limit);

    // With s, m and q as found, d and dmin by linear regression of x on s q and -m; unchanged where that is not determined.
    static (Half, Half) Refit<TW>(GroupLanes all, int size, ReadOnlySpan<Vector256<float>> s, ReadOnlySpan<Vector256<float>> m, int most, (Half Scale, Half Min) units) where TW : struct, IErrorWeights
    {
        Vector256<float> aa = default, ab = default, bb = default, ax = default, bx = default;
        for (int i = 0; i < s.Length; i++)
        {
            AffineSums sums = AffineSearch.Sums<TW>(all.Of(i * GroupLanes.Count, size), Vector256.Create((float)units.Scale) * s[i], Vector256.Create((float)units.Min) * m[i], most);
            aa += s[i] * s[i] * sums.Squares;
            ab -= s[i] * m[i] * sums.Codes;
            bb += m[i] * m[i] * sums.Weights;
            ax += s[i] * sums.Products;
            bx -= m[i] * sums.Numbers;
        }
        double sumAA = Vector256.Sum(aa), sumAB = Vector256.Sum(ab), sumBB = Vector256.Sum(bb), sumAX = Vector256.Sum(ax), sumBX = Vector256.Sum(bx);
        double determinant = sumAA * sumBB - sumAB * sumAB, scale = (sumAX * sumBB - sumBX * sumAB) / determinant, min = (sumBX * sumAA - sumAX * sumAB) / determinant;
        return determinant > 0 && scale > 0 && min >= 0 && scale < 65504 && min < 65504 ? ((Half)scale, (Half)min) : units;
    }
}
