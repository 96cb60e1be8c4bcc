namespace Coppice.Weights;

/// <summary>Rounds a block of at most 16 groups to w = d s q - dmin m: halves d and dmin, small whole numbers s and m for each group, and a code q for each weight.</summary>
static class SuperAffine
{
    /// <summary>Finds them by the sum of squared errors, never further from the numbers than with the scales and minima that just cover each group.</summary>
    /// <param name="x">The numbers.</param>
    /// <param name="groupSize">Numbers that share an s and an m.</param>
    /// <param name="most">The largest q.</param>
    /// <param name="limit">The largest s and m.</param>
    /// <param name="scales">s of each group.</param>
    /// <param name="mins">m of each group.</param>
    /// <param name="codes">q of each number.</param>
    /// <returns>d and dmin; one of them infinite where the numbers are too large.</returns>
    public static (Half Scale, Half MinScale) Round(ReadOnlySpan<float> x, int groupSize, int most, int limit, Span<int> scales, Span<int> mins, Span<byte> codes)
    {
        int groups = x.Length / groupSize;
        Span<(float Scale, float Min)> plain = stackalloc (float, float)[groups], searched = stackalloc (float, float)[groups];
        Span<int> triedScales = stackalloc int[groups], triedMins = stackalloc int[groups];
        Span<float> q = stackalloc float[x.Length], triedQ = stackalloc float[x.Length];
        for (int group = 0; group < groups; group++)
        {
            ReadOnlySpan<float> own = x.Slice(group * groupSize, groupSize);
            (plain[group], searched[group]) = (AffineSearch.Plain(own, most), AffineSearch.Best(own, most));
        }
        (Half Scale, Half MinScale) best = Covering(plain, limit);
        if (!Half.IsFinite(best.Scale) || !Half.IsFinite(best.MinScale))
            return best;
        double least = Fit(x, plain, most, limit, best, scales, mins, q);
        for (int attempt = 0; attempt < 2; attempt++)
        {
            (Half, Half) scale = attempt == 0 ? Covering(searched, limit) : Refit(x, groupSize, scales, mins, q, best);
            double error = Fit(x, searched, most, limit, scale, triedScales, triedMins, triedQ);
            if (!(error < least))
                continue;
            (best, least) = (scale, error);
            triedScales.CopyTo(scales);
            triedMins.CopyTo(mins);
            triedQ.CopyTo(q);
        }
        for (int i = 0; i < q.Length; i++)
            codes[i] = (byte)q[i];
        return best;
    }

    // d and dmin that take the largest scale and the largest minimum to the limit.
    static (Half, Half) Covering(ReadOnlySpan<(float Scale, float Min)> groups, int limit)
    {
        (float scale, float min) = (0, 0);
        foreach ((float own, float ownMin) in groups)
            (scale, min) = (Math.Max(scale, own), Math.Max(min, ownMin));
        return ((Half)(scale / limit), (Half)(min / limit));
    }

    // For each group the best of the nine pairs of whole numbers around scale / d and min / dmin.
    static double Fit(ReadOnlySpan<float> x, ReadOnlySpan<(float Scale, float Min)> wanted, int most, int limit, (Half Scale, Half MinScale) block, Span<int> scales, Span<int> mins, Span<float> codes)
    {
        int groupSize = x.Length / wanted.Length;
        Span<float> tried = stackalloc float[groupSize];
        (float d, float dmin) = ((float)block.Scale, (float)block.MinScale);
        double total = 0;
        for (int group = 0; group < wanted.Length; group++)
        {
            ReadOnlySpan<float> own = x.Slice(group * groupSize, groupSize);
            int middle = Near(wanted[group].Scale, d, limit), middleMin = Near(wanted[group].Min, dmin, limit);
            double least = double.PositiveInfinity;
            for (int scale = Math.Max(middle - 1, 0); scale <= Math.Min(middle + 1, limit); scale++)
                for (int min = Math.Max(middleMin - 1, 0); min <= Math.Min(middleMin + 1, limit); min++)
                {
                    double error = AffineSearch.Round(own, d * scale, dmin * min, most, tried);
                    if (error >= least)
                        continue;
                    (least, scales[group], mins[group]) = (error, scale, min);
                    tried.CopyTo(codes[(group * groupSize)..]);
                }
            total += least;
        }
        return total;
    }

    static int Near(float wanted, float unit, int limit) => unit == 0 ? 0 : (int)Math.Clamp(MathF.Round(wanted / unit), 0, limit);

    // With s, m and q as found, d and dmin by linear regression of x on s q and -m; unchanged where that is not determined.
    static (Half, Half) Refit(ReadOnlySpan<float> x, int groupSize, ReadOnlySpan<int> scales, ReadOnlySpan<int> mins, ReadOnlySpan<float> codes, (Half, Half) unchanged)
    {
        double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double a = scales[i / groupSize] * codes[i], b = -mins[i / groupSize];
            aa += a * a;
            ab += a * b;
            bb += b * b;
            ax += a * x[i];
            bx += b * x[i];
        }
        double determinant = aa * bb - ab * ab, scale = (ax * bb - bx * ab) / determinant, min = (bx * aa - ax * ab) / determinant;
        return determinant > 0 && scale > 0 && min >= 0 ? ((Half)scale, (Half)min) : unchanged;
    }
}
