using System.Runtime.CompilerServices;

namespace Coppice.Weights;

/// <summary>Rounds a block of at most 16 groups to w = d s q - dmin m: halves d and dmin, small whole numbers s and m for each group, and a code q for each weight.</summary>
static class SuperAffine
{
    /// <summary>Finds them by the sum of squared errors, never further from the numbers than with the scales and minima that just cover each group. d or dmin is infinite where the numbers are too large.</summary>
    public static void Search(ReadOnlySpan<float> x, ReadOnlySpan<float> importance, BlockShape shape, BlockParts parts)
    {
        if (importance.IsEmpty)
            Search<EvenWeights>(x, importance, shape, parts);
        else
            Search<GivenWeights>(x, importance, shape, parts);
    }

    [SkipLocalsInit]
    static void Search<TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, BlockShape shape, BlockParts parts) where TW : struct, IErrorWeights
    {
        int groupSize = shape.GroupSize, groups = x.Length / groupSize, most = shape.Levels.Length - 1, limit = shape.Scales.Most;
        Span<(float Scale, float Min)> plain = stackalloc (float, float)[groups], searched = stackalloc (float, float)[groups];
        Span<sbyte> triedScales = stackalloc sbyte[groups], triedMins = stackalloc sbyte[groups];
        Span<float> q = stackalloc float[x.Length], triedQ = stackalloc float[x.Length];
        for (int group = 0; group < groups; group++)
        {
            ReadOnlySpan<float> own = x.Slice(group * groupSize, groupSize);
            (plain[group], searched[group]) = (AffineSearch.Plain(own, most), AffineSearch.Best<TW>(own, Of(weights, group, groupSize), most));
        }
        (Half Scale, Half MinScale) best = Covering(plain, limit);
        if (Half.IsFinite(best.Scale) && Half.IsFinite(best.MinScale))
        {
            double least = Fit<TW>(x, weights, plain, most, limit, best, parts.Scales, parts.Mins, q);
            for (int attempt = 0; attempt < 2; attempt++)
            {
                (Half, Half) scale = attempt == 0 ? Covering(searched, limit) : Refit(x, weights, groupSize, parts.Scales, parts.Mins, q, best);
                double error = Fit<TW>(x, weights, searched, most, limit, scale, triedScales, triedMins, triedQ);
                if (!(error < least))
                    continue;
                (best, least) = (scale, error);
                triedScales.CopyTo(parts.Scales);
                triedMins.CopyTo(parts.Mins);
                triedQ.CopyTo(q);
            }
            for (int i = 0; i < q.Length; i++)
                parts.Codes[i] = (byte)q[i];
        }
        (parts.Units[0], parts.Units[1]) = best;
    }

    static ReadOnlySpan<float> Of(ReadOnlySpan<float> weights, int group, int groupSize) => weights.IsEmpty ? default : weights.Slice(group * groupSize, groupSize);

    // d and dmin that take the largest scale and the largest minimum to the limit.
    static (Half, Half) Covering(ReadOnlySpan<(float Scale, float Min)> groups, int limit)
    {
        (float scale, float min) = (0, 0);
        foreach ((float own, float ownMin) in groups)
            (scale, min) = (Math.Max(scale, own), Math.Max(min, ownMin));
        return ((Half)(scale / limit), (Half)(min / limit));
    }

    // For each group the best of the nine pairs of whole numbers around scale / d and min / dmin.
    static double Fit<TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, ReadOnlySpan<(float Scale, float Min)> wanted, int most, int limit, (Half Scale, Half MinScale) block, Span<sbyte> scales, Span<sbyte> mins, Span<float> codes)
        where TW : struct, IErrorWeights
    {
        int groupSize = x.Length / wanted.Length;
        Span<float> tried = stackalloc float[groupSize];
        (float d, float dmin) = ((float)block.Scale, (float)block.MinScale);
        double total = 0;
        for (int group = 0; group < wanted.Length; group++)
        {
            ReadOnlySpan<float> own = x.Slice(group * groupSize, groupSize), ownWeights = Of(weights, group, groupSize);
            int middle = Near(wanted[group].Scale, d, limit), middleMin = Near(wanted[group].Min, dmin, limit);
            double least = double.PositiveInfinity;
            for (int scale = Math.Max(middle - 1, 0); scale <= Math.Min(middle + 1, limit); scale++)
                for (int min = Math.Max(middleMin - 1, 0); min <= Math.Min(middleMin + 1, limit); min++)
                {
                    double error = AffineSearch.Round<TW>(own, ownWeights, d * scale, dmin * min, most, tried);
                    if (error >= least)
                        continue;
                    (least, scales[group], mins[group]) = (error, (sbyte)scale, (sbyte)min);
                    tried.CopyTo(codes[(group * groupSize)..]);
                }
            total += least;
        }
        return total;
    }

    static int Near(float wanted, float unit, int limit) => unit == 0 ? 0 : (int)Math.Clamp(MathF.Round(wanted / unit), 0, limit);

    // With s, m and q as found, d and dmin by linear regression of x on s q and -m; unchanged where that is not determined.
    static (Half, Half) Refit(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int groupSize, ReadOnlySpan<sbyte> scales, ReadOnlySpan<sbyte> mins, ReadOnlySpan<float> codes, (Half, Half) unchanged)
    {
        double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double weight = weights.IsEmpty ? 1 : weights[i], a = scales[i / groupSize] * codes[i], b = -mins[i / groupSize];
            aa += weight * a * a;
            ab += weight * a * b;
            bb += weight * b * b;
            ax += weight * a * x[i];
            bx += weight * b * x[i];
        }
        double determinant = aa * bb - ab * ab, scale = (ax * bb - bx * ab) / determinant, min = (bx * aa - ax * ab) / determinant;
        return determinant > 0 && scale > 0 && min >= 0 ? ((Half)scale, (Half)min) : unchanged;
    }
}
