using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights;

/// <summary>The scale s and the minimum m of a group of numbers that are to be s q - m with a code q from 0 to a largest one, by the sum of weighted squared errors. Groups are multiples of eight numbers.</summary>
static class AffineSearch
{
    // Scales that are tried, a tenth of a code apart.
    const int Tries = 10;

    /// <summary>The scale, 0 or more, and the minimum that just cover the numbers, and zero where minima are not <paramref name="signed"/>.</summary>
    public static (float Scale, float Min) Plain(ReadOnlySpan<float> x, int most, bool signed = false)
    {
        (float least, float largest) = (signed ? float.PositiveInfinity : 0, float.NegativeInfinity);
        foreach (float number in x)
            (least, largest) = (Math.Min(least, number), Math.Max(largest, number));
        return ((largest - least) / most, -least);
    }

    /// <summary>The best of many: with the codes that a scale gives, scale and minimum are those of linear regression. The minimum is 0 or more unless <paramref name="signed"/>.</summary>
    public static (float Scale, float Min) Best<TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int most, bool signed = false) where TW : struct, IErrorWeights
    {
        (float Scale, float Min) plain = Plain(x, most, signed), best = plain;
        if (!(plain.Scale > 0))
            return plain;
        Search<TW> search = new(x, weights, most, signed);
        double least = double.PositiveInfinity;
        for (int i = -Tries; i <= Tries; i++)
            search.Try((most + 0.1f * i) / (plain.Scale * most), plain.Min, ref best, ref least);
        for (int i = 0; i < 2 && best.Scale > 0; i++)
            search.Try(1 / best.Scale, best.Min, ref best, ref least);
        return best;
    }

    readonly ref struct Search<TW> where TW : struct, IErrorWeights
    {
        readonly ReadOnlySpan<Vector256<float>> x, weights;
        readonly int most;
        readonly bool signed;
        readonly double n, sumX, sumXX;

        public Search(ReadOnlySpan<float> numbers, ReadOnlySpan<float> importance, int most, bool signed)
        {
            x = MemoryMarshal.Cast<float, Vector256<float>>(numbers);
            weights = MemoryMarshal.Cast<float, Vector256<float>>(importance);
            (this.most, this.signed) = (most, signed);
            Vector256<float> count = default, sum = default, squares = default;
            for (int i = 0; i < x.Length; i++)
            {
                count += TW.Weigh(Vector256<float>.One, weights, i);
                Vector256<float> own = TW.Weigh(x[i], weights, i);
                sum += own;
                squares += own * x[i];
            }
            (n, sumX, sumXX) = (Vector256.Sum(count), Vector256.Sum(sum), Vector256.Sum(squares));
        }

        public void Try(float inverse, float min, ref (float Scale, float Min) best, ref double least)
        {
            if (!float.IsFinite(inverse))
                return;
            Vector256<float> factor = Vector256.Create(inverse), offset = Vector256.Create(min), end = Vector256.Create((float)most), codes = default, squares = default, products = default;
            for (int i = 0; i < x.Length; i++)
            {
                Vector256<float> q = Nearest(x[i], offset, factor, end), own = TW.Weigh(q, weights, i);
                codes += own;
                squares += own * q;
                products += own * x[i];
            }
            double sumQ = Vector256.Sum(codes), sumQQ = Vector256.Sum(squares), sumXQ = Vector256.Sum(products), determinant = n * sumQQ - sumQ * sumQ;
            if (determinant <= 0)
                return;
            double scale = (n * sumXQ - sumX * sumQ) / determinant, m = (scale * sumQ - sumX) / n;
            if (m < 0 && !signed)
                (scale, m) = (sumXQ / sumQQ, 0);
            // sum (s q - m - x)^2.
            double error = scale * scale * sumQQ + n * m * m + sumXX + 2 * (m * sumX - scale * m * sumQ - scale * sumXQ);
            if (scale > 0 && error < least)
                (best, least) = (((float)scale, (float)m), error);
        }
    }

    /// <summary>The codes nearest the numbers with that scale and minimum.</summary>
    /// <returns>The sum of squared errors.</returns>
    public static double Round<TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float scale, float min, int most, Span<float> codes) where TW : struct, IErrorWeights
    {
        float inverse = 1 / scale;
        Vector256<float> factor = Vector256.Create(float.IsFinite(inverse) ? inverse : 0), offset = Vector256.Create(min), end = Vector256.Create((float)most), step = Vector256.Create(scale), errors = default;
        ReadOnlySpan<Vector256<float>> from = MemoryMarshal.Cast<float, Vector256<float>>(x), importance = MemoryMarshal.Cast<float, Vector256<float>>(weights);
        Span<Vector256<float>> to = MemoryMarshal.Cast<float, Vector256<float>>(codes);
        for (int i = 0; i < from.Length; i++)
        {
            to[i] = Nearest(from[i], offset, factor, end);
            Vector256<float> error = to[i] * step - offset - from[i];
            errors += TW.Weigh(error, importance, i) * error;
        }
        return Vector256.Sum(errors);
    }

    /// <summary>The parts of a block of one group whose minimum may have either sign, never further from the numbers than with the scale and minimum that just cover them.</summary>
    public static void Fill(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int most, BlockParts parts)
    {
        if (weights.IsEmpty)
            Fill<EvenWeights>(x, weights, most, parts);
        else
            Fill<GivenWeights>(x, weights, most, parts);
    }

    static void Fill<TW>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int most, BlockParts parts) where TW : struct, IErrorWeights
    {
        Span<float> codes = stackalloc float[x.Length], tried = stackalloc float[x.Length];
        (float scale, float min) = Plain(x, most, signed: true);
        (Half Scale, Half Min) plain = ((Half)scale, (Half)min);
        (scale, min) = Best<TW>(x, weights, most, signed: true);
        (Half Scale, Half Min) best = ((Half)scale, (Half)min);
        if (Round<TW>(x, weights, (float)plain.Scale, (float)plain.Min, most, tried) < Round<TW>(x, weights, (float)best.Scale, (float)best.Min, most, codes))
        {
            best = plain;
            tried.CopyTo(codes);
        }
        parts.FillOneGroup(best.Scale, -best.Min, -1);
        for (int i = 0; i < codes.Length; i++)
            parts.Codes[i] = (byte)codes[i];
    }

    static Vector256<float> Nearest(Vector256<float> x, Vector256<float> min, Vector256<float> inverse, Vector256<float> most) =>
        Vector256.Min(Vector256.Max(Vector256.Round((x + min) * inverse), default), most);
}
