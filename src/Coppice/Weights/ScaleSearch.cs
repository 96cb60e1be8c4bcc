using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights;

/// <summary>The scale s of a group of numbers that are to be s times a level, by the sum of weighted squared errors. Groups are multiples of eight numbers.</summary>
static class ScaleSearch
{
    // Scales that are tried on either side of the one that just covers the numbers.
    const int Tries = 8;

    /// <summary>The scale that takes the number of largest magnitude to the furthest level.</summary>
    public static float Plain<TL>(ReadOnlySpan<float> x) where TL : struct, ILevels => Extreme(x) / TL.Least;

    /// <summary>The best of many: with the levels that a scale gives, the scale nearest the numbers is sum x l / sum l^2, and takes (sum x l)^2 / sum l^2 from their squares.</summary>
    public static float Best<TL, TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        float extreme = Extreme(x), best = 0;
        if (extreme == 0)
            return 0;
        double most = 0;
        for (int i = -Tries; i <= Tries; i++)
        {
            float stretch = 1 + TL.Spread * i / Tries;
            Try(x, weights, TL.Least * stretch / extreme, ref best, ref most);
            Try(x, weights, TL.Most * stretch / extreme, ref best, ref most);
        }
        Try(x, weights, 1 / best, ref best, ref most);
        return best;

        static void Try(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float inverse, ref float best, ref double most)
        {
            Vector256<float> factor = Vector256.Create(inverse), products = default, squares = default;
            ReadOnlySpan<Vector256<float>> from = MemoryMarshal.Cast<float, Vector256<float>>(x), importance = MemoryMarshal.Cast<float, Vector256<float>>(weights);
            for (int i = 0; i < from.Length; i++)
            {
                Vector256<float> levels = TL.Nearest(from[i] * factor), weighted = TW.Weigh(levels, importance, i);
                products += from[i] * weighted;
                squares += levels * weighted;
            }
            double product = Vector256.Sum(products), square = Vector256.Sum(squares);
            if (square > 0 && product * product > most * square)
                (best, most) = ((float)(product / square), product * product / square);
        }
    }

    /// <summary>The levels nearest the numbers at that scale.</summary>
    /// <returns>The sum of squared errors.</returns>
    public static double Round<TL, TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float scale, Span<float> levels) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        float inverse = 1 / scale;
        Vector256<float> factor = Vector256.Create(float.IsFinite(inverse) ? inverse : 0), step = Vector256.Create(scale), errors = default;
        ReadOnlySpan<Vector256<float>> from = MemoryMarshal.Cast<float, Vector256<float>>(x), importance = MemoryMarshal.Cast<float, Vector256<float>>(weights);
        Span<Vector256<float>> to = MemoryMarshal.Cast<float, Vector256<float>>(levels);
        for (int i = 0; i < from.Length; i++)
        {
            to[i] = TL.Nearest(from[i] * factor);
            Vector256<float> error = from[i] - to[i] * step;
            errors += TW.Weigh(error, importance, i) * error;
        }
        return Vector256.Sum(errors);
    }

    /// <summary>The parts of a block of one group: the half next to the best scale, or that which just covers the numbers where it is nearer them.</summary>
    public static void Fill<TL>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, BlockParts parts) where TL : struct, ILevels
    {
        if (weights.IsEmpty)
            Fill<TL, EvenWeights>(x, weights, parts);
        else
            Fill<TL, GivenWeights>(x, weights, parts);
    }

    static void Fill<TL, TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, BlockParts parts) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        Span<float> levels = stackalloc float[x.Length];
        Half scale = (Half)Best<TL, TW>(x, weights), plain = (Half)Plain<TL>(x);
        if (Round<TL, TW>(x, weights, (float)plain, levels) < Round<TL, TW>(x, weights, (float)scale, levels))
            Round<TL, TW>(x, weights, (float)(scale = plain), levels);
        parts.FillOneGroup(scale);
        for (int i = 0; i < levels.Length; i++)
            parts.Codes[i] = (byte)TL.CodeOf(levels[i]);
    }

    static float Extreme(ReadOnlySpan<float> x)
    {
        float extreme = 0;
        foreach (float number in x)
            if (Math.Abs(number) > Math.Abs(extreme))
                extreme = number;
        return extreme;
    }
}
