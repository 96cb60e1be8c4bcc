using System.Runtime.CompilerServices;

namespace Coppice.Weights;

/// <summary>Rounds a block of at most 16 groups to w = d s l: one half d, a small whole number s for each group, and a level l for each weight.</summary>
static class SuperScale
{
    /// <summary>Finds all three by the sum of squared errors, never further from the numbers than with the scales that just cover each group. d is infinite where the numbers are too large for it.</summary>
    public static void Search<TL>(ReadOnlySpan<float> x, ReadOnlySpan<float> importance, BlockShape shape, BlockParts parts) where TL : struct, ILevels
    {
        if (importance.IsEmpty)
            Search<TL, EvenWeights>(x, importance, shape, parts);
        else
            Search<TL, GivenWeights>(x, importance, shape, parts);
    }

    [SkipLocalsInit]
    static void Search<TL, TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, BlockShape shape, BlockParts parts) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        int groupSize = shape.GroupSize, groups = x.Length / groupSize, limit = -shape.Scales.Least;
        Span<float> plain = stackalloc float[groups], searched = stackalloc float[groups], levels = stackalloc float[x.Length], triedLevels = stackalloc float[x.Length];
        Span<sbyte> triedScales = stackalloc sbyte[groups];
        for (int group = 0; group < groups; group++)
        {
            ReadOnlySpan<float> own = x.Slice(group * groupSize, groupSize);
            (plain[group], searched[group]) = (ScaleSearch.Plain<TL>(own), ScaleSearch.Best<TL, TW>(own, Of(weights, group, groupSize)));
        }
        Half best = Covering(plain, limit);
        if (Half.IsFinite(best))
        {
            double least = Fit<TL, TW>(x, weights, plain, limit, best, parts.Scales, levels);
            for (int attempt = 0; attempt < 2; attempt++)
            {
                Half scale = attempt == 0 ? Covering(searched, limit) : Refit(x, weights, groupSize, parts.Scales, levels);
                double error = Fit<TL, TW>(x, weights, searched, limit, scale, triedScales, triedLevels);
                if (!(error < least))
                    continue;
                (best, least) = (scale, error);
                triedScales.CopyTo(parts.Scales);
                triedLevels.CopyTo(levels);
            }
            for (int i = 0; i < levels.Length; i++)
                parts.Codes[i] = (byte)TL.CodeOf(levels[i]);
        }
        parts.Units[0] = best;
    }

    static ReadOnlySpan<float> Of(ReadOnlySpan<float> weights, int group, int groupSize) => weights.IsEmpty ? default : weights.Slice(group * groupSize, groupSize);

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
    static double Fit<TL, TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, ReadOnlySpan<float> wanted, int limit, Half scale, Span<sbyte> scales, Span<float> levels)
        where TL : struct, ILevels where TW : struct, IErrorWeights
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
                double error = ScaleSearch.Round<TL, TW>(own, Of(weights, group, groupSize), (float)scale * code, tried);
                if (error < least)
                {
                    (least, scales[group]) = (error, (sbyte)code);
                    tried.CopyTo(levels[(group * groupSize)..]);
                }
            }
            total += least;
        }
        return total;
    }

    // With levels and scales as they are, d = sum x s l / sum (s l)^2.
    static Half Refit(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int groupSize, ReadOnlySpan<sbyte> scales, ReadOnlySpan<float> levels)
    {
        double products = 0, squares = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double part = scales[i / groupSize] * levels[i], weighted = weights.IsEmpty ? part : weights[i] * part;
            products += x[i] * weighted;
            squares += part * weighted;
        }
        return (Half)(squares > 0 ? products / squares : 0);
    }
}
