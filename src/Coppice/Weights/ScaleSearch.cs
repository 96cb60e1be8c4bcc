using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights;

/// <summary>The scale s of a group of numbers that are to be s times a level, by the sum of squared errors. Groups are multiples of eight numbers.</summary>
static class ScaleSearch
{
    // Scales that are tried on either side of the one that just covers the numbers.
    const int Tries = 8;

    /// <summary>The scale that takes the number of largest magnitude to the furthest level.</summary>
    public static float Plain<TL>(ReadOnlySpan<float> x) where TL : struct, ILevels => Extreme(x) / TL.Least;

    /// <summary>The best of many: with the levels that a scale gives, the scale nearest the numbers is sum x l / sum l^2, and takes (sum x l)^2 / sum l^2 from their squares.</summary>
    public static float Best<TL>(ReadOnlySpan<float> x) where TL : struct, ILevels
    {
        float extreme = Extreme(x), best = 0;
        if (extreme == 0)
            return 0;
        double most = 0;
        for (int i = -Tries; i <= Tries; i++)
        {
            float stretch = 1 + TL.Spread * i / Tries;
            Try(x, TL.Least * stretch / extreme, ref best, ref most);
            Try(x, TL.Most * stretch / extreme, ref best, ref most);
        }
        Try(x, 1 / best, ref best, ref most);
        return best;

        static void Try(ReadOnlySpan<float> x, float inverse, ref float best, ref double most)
        {
            Vector256<float> factor = Vector256.Create(inverse), products = default, squares = default;
            foreach (Vector256<float> numbers in MemoryMarshal.Cast<float, Vector256<float>>(x))
            {
                Vector256<float> levels = TL.Nearest(numbers * factor);
                products += numbers * levels;
                squares += levels * levels;
            }
            double product = Vector256.Sum(products), square = Vector256.Sum(squares);
            if (square > 0 && product * product > most * square)
                (best, most) = ((float)(product / square), product * product / square);
        }
    }

    /// <summary>The levels nearest the numbers at that scale.</summary>
    /// <returns>The sum of squared errors.</returns>
    public static double Round<TL>(ReadOnlySpan<float> x, float scale, Span<float> levels) where TL : struct, ILevels
    {
        float inverse = 1 / scale;
        Vector256<float> factor = Vector256.Create(float.IsFinite(inverse) ? inverse : 0), step = Vector256.Create(scale), errors = default;
        ReadOnlySpan<Vector256<float>> from = MemoryMarshal.Cast<float, Vector256<float>>(x);
        Span<Vector256<float>> to = MemoryMarshal.Cast<float, Vector256<float>>(levels);
        for (int i = 0; i < from.Length; i++)
        {
            to[i] = TL.Nearest(from[i] * factor);
            Vector256<float> error = from[i] - to[i] * step;
            errors += error * error;
        }
        return Vector256.Sum(errors);
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
