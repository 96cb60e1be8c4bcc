namespace Coppice.Weights;

/// <summary>Rounds a block of at most 16 groups to w = d s l: one half d, a small whole number s for each group, and a level l for each weight.</summary>
static class SuperScale
{
    /// <summary>Finds all three by the sum of squared errors, never further from the numbers than with the scales that just cover each group.</summary>
    /// <param name="x">The numbers.</param>
    /// <param name="groupSize">Numbers that share an s.</param>
    /// <param name="limit">s is from -limit to limit - 1.</param>
    /// <param name="scales">s of each group.</param>
    /// <param name="levels">l of each number.</param>
    /// <returns>d; infinite where the numbers are too large for it.</returns>
    public static Half Round<TL>(ReadOnlySpan<float> x, int groupSize, int limit, Span<int> scales, Span<float> levels) where TL : struct, ILevels
    {
        int groups = x.Length / groupSize;
        Span<float> plain = stackalloc float[groups], searched = stackalloc float[groups], triedLevels = stackalloc float[x.Length];
        Span<int> triedScales = stackalloc int[groups];
        for (int group = 0; group < groups; group++)
        {
            ReadOnlySpan<float> own = x.Slice(group * groupSize, groupSize);
            (plain[group], searched[group]) = (ScaleSearch.Plain<TL>(own), ScaleSearch.Best<TL>(own));
        }
        Half best = Covering(plain, limit);
        if (!Half.IsFinite(best))
            return best;
        double least = Fit<TL>(x, plain, limit, best, scales, levels);
        for (int attempt = 0; attempt < 2; attempt++)
        {
            Half scale = attempt == 0 ? Covering(searched, limit) : Refit(x, groupSize, scales, levels);
            double error = Fit<TL>(x, searched, limit, scale, triedScales, triedLevels);
            if (!(error < least))
                continue;
            (best, least) = (scale, error);
            triedScales.CopyTo(scales);
            triedLevels.CopyTo(levels);
        }
        return best;
    }

    // d that takes the group scale of largest magnitude to -limit.
    static Half Covering(ReadOnlySpan<float> scales, int limit)
    {
        float extreme = 0;
        foreach (float scale in scales)
            if (Math.Abs(scale) > Math.Abs(extreme))
                extreme = scale;
        return (Half)(extreme / -limit);
    }

    // For each group the best of the three whole numbers around wanted / d.
    static double Fit<TL>(ReadOnlySpan<float> x, ReadOnlySpan<float> wanted, int limit, Half scale, Span<int> scales, Span<float> levels) where TL : struct, ILevels
    {
        int groupSize = x.Length / wanted.Length;
        Span<float> tried = stackalloc float[groupSize];
        float inverse = scale == default ? 0 : 1 / (float)scale;
        double total = 0;
        for (int group = 0; group < wanted.Length; group++)
        {
            ReadOnlySpan<float> own = x.Slice(group * groupSize, groupSize);
            int middle = (int)Math.Clamp(MathF.Round(wanted[group] * inverse), -limit, limit - 1);
            double least = double.PositiveInfinity;
            for (int code = Math.Max(middle - 1, -limit); code <= Math.Min(middle + 1, limit - 1); code++)
            {
                double error = ScaleSearch.Round<TL>(own, (float)scale * code, tried);
                if (error < least)
                {
                    (least, scales[group]) = (error, code);
                    tried.CopyTo(levels[(group * groupSize)..]);
                }
            }
            total += least;
        }
        return total;
    }

    // With levels and scales as they are, d = sum x s l / sum (s l)^2.
    static Half Refit(ReadOnlySpan<float> x, int groupSize, ReadOnlySpan<int> scales, ReadOnlySpan<float> levels)
    {
        double products = 0, squares = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double part = scales[i / groupSize] * levels[i];
            products += x[i] * part;
            squares += part * part;
        }
        return (Half)(squares > 0 ? products / squares : 0);
    }
}
