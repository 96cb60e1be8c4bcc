using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights;

/// <summary>The scale s and the minimum m, neither negative, of a group of numbers that are to be s q - m with a code q from 0 to a largest one, by the sum of squared errors. Groups are multiples of eight numbers.</summary>
static class AffineSearch
{
    // Scales that are tried, a tenth of a code apart.
    const int Tries = 10;

    /// <summary>The scale and the minimum that just cover the numbers and zero.</summary>
    public static (float Scale, float Min) Plain(ReadOnlySpan<float> x, int most)
    {
        (float least, float largest) = (0, float.NegativeInfinity);
        foreach (float number in x)
            (least, largest) = (Math.Min(least, number), Math.Max(largest, number));
        return ((largest - least) / most, -least);
    }

    /// <summary>The best of many: with the codes that a scale gives, scale and minimum are those of linear regression.</summary>
    public static (float Scale, float Min) Best(ReadOnlySpan<float> x, int most)
    {
        (float Scale, float Min) plain = Plain(x, most), best = plain;
        if (!(plain.Scale > 0))
            return plain;
        double least = double.PositiveInfinity;
        for (int i = -Tries; i <= Tries; i++)
            Try(x, (most + 0.1f * i) / (plain.Scale * most), plain.Min, most, ref best, ref least);
        for (int i = 0; i < 2 && best.Scale > 0; i++)
            Try(x, 1 / best.Scale, best.Min, most, ref best, ref least);
        return best;
    }

    static void Try(ReadOnlySpan<float> x, float inverse, float min, int most, ref (float Scale, float Min) best, ref double least)
    {
        if (!float.IsFinite(inverse))
            return;
        Vector256<float> factor = Vector256.Create(inverse), offset = Vector256.Create(min), end = Vector256.Create((float)most);
        Vector256<float> numbers = default, numberSquares = default, codes = default, codeSquares = default, products = default;
        foreach (Vector256<float> own in MemoryMarshal.Cast<float, Vector256<float>>(x))
        {
            Vector256<float> q = Nearest(own, offset, factor, end);
            numbers += own;
            numberSquares += own * own;
            codes += q;
            codeSquares += q * q;
            products += own * q;
        }
        double n = x.Length, sumX = Vector256.Sum(numbers), sumQ = Vector256.Sum(codes), sumQQ = Vector256.Sum(codeSquares), sumXQ = Vector256.Sum(products);
        double determinant = n * sumQQ - sumQ * sumQ;
        if (determinant <= 0)
            return;
        double scale = (n * sumXQ - sumX * sumQ) / determinant, m = (scale * sumQ - sumX) / n;
        if (m < 0)
            (scale, m) = (sumXQ / sumQQ, 0);
        // sum (s q - m - x)^2.
        double error = scale * scale * sumQQ + n * m * m + Vector256.Sum(numberSquares) + 2 * (m * sumX - scale * m * sumQ - scale * sumXQ);
        if (scale > 0 && error < least)
            (best, least) = (((float)scale, (float)m), error);
    }

    /// <summary>The codes nearest the numbers with that scale and minimum.</summary>
    /// <returns>The sum of squared errors.</returns>
    public static double Round(ReadOnlySpan<float> x, float scale, float min, int most, Span<float> codes)
    {
        float inverse = 1 / scale;
        Vector256<float> factor = Vector256.Create(float.IsFinite(inverse) ? inverse : 0), offset = Vector256.Create(min), end = Vector256.Create((float)most), step = Vector256.Create(scale), errors = default;
        ReadOnlySpan<Vector256<float>> from = MemoryMarshal.Cast<float, Vector256<float>>(x);
        Span<Vector256<float>> to = MemoryMarshal.Cast<float, Vector256<float>>(codes);
        for (int i = 0; i < from.Length; i++)
        {
            to[i] = Nearest(from[i], offset, factor, end);
            Vector256<float> error = to[i] * step - offset - from[i];
            errors += error * error;
        }
        return Vector256.Sum(errors);
    }

    static Vector256<float> Nearest(Vector256<float> x, Vector256<float> min, Vector256<float> inverse, Vector256<float> most) =>
        Vector256.Min(Vector256.Max(Vector256.Round((x + min) * inverse), default), most);
}
