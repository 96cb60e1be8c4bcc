using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights;

/// <summary>The scales s of eight groups of numbers that are to be s times a level, by the sums of weighted squared errors.</summary>
static class ScaleSearch
{
    // Scales that are tried on either side of the one that just covers the numbers.
    const int Tries = 5;

    /// <summary>The scales that take the number of largest magnitude to the furthest level.</summary>
    public static Vector256<float> Plain<TL>(GroupLanes x) where TL : struct, ILevels => Extreme(x) / Vector256.Create((float)TL.Least);

    /// <summary>The best of many: with the levels that a scale gives, the scale nearest the numbers is sum x l / sum l^2, and takes (sum x l)^2 / sum l^2 from their squares.</summary>
    public static Vector256<float> Best<TL, TW>(GroupLanes x) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        Vector256<float> extreme = Extreme(x);
        Search<TL, TW> search = new() { Numbers = x };
        for (int i = -Tries; i <= Tries; i++)
        {
            float stretch = 1 + TL.Spread * i / Tries;
            search.Try(Vector256.Create(TL.Least * stretch) / extreme);
            search.Try(Vector256.Create(TL.Most * stretch) / extreme);
        }
        search.Try(Vector256<float>.One / search.Scale);
        return search.Scale;
    }

    ref struct Search<TL, TW> where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        public GroupLanes Numbers;
        public Vector256<float> Scale, Most;

        // A lane of zeros takes nothing away and keeps a scale of 0.
        public void Try(Vector256<float> inverse)
        {
            Vector256<float> products = default, squares = default;
            for (int i = 0; i < Numbers.Numbers.Length; i++)
            {
                Vector256<float> number = Numbers.Numbers[i], levels = TL.Nearest(number * inverse), own = TW.Weigh(levels, Numbers.Weights, i);
                products = Vector256.FusedMultiplyAdd(number, own, products);
                squares = Vector256.FusedMultiplyAdd(levels, own, squares);
            }
            Vector256<float> scale = products / squares, taken = products * scale, isBetter = Vector256.GreaterThan(taken, Most);
            Scale = Vector256.ConditionalSelect(isBetter, scale, Scale);
            Most = Vector256.ConditionalSelect(isBetter, taken, Most);
        }
    }

    /// <summary>The sums of squared errors with the nearest levels.</summary>
    public static Vector256<float> Error<TL, TW>(GroupLanes x, Vector256<float> scale) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        Vector256<float> inverse = GroupLanes.Inverse(scale), errors = default;
        for (int i = 0; i < x.Numbers.Length; i++)
        {
            Vector256<float> error = x.Numbers[i] - TL.Nearest(x.Numbers[i] * inverse) * scale;
            errors = Vector256.FusedMultiplyAdd(TW.Weigh(error, x.Weights, i), error, errors);
        }
        return errors;
    }

    /// <summary>The nearest levels.</summary>
    public static void Round<TL>(GroupLanes x, Vector256<float> scale, Span<Vector256<float>> levels) where TL : struct, ILevels
    {
        Vector256<float> inverse = GroupLanes.Inverse(scale);
        for (int i = 0; i < x.Numbers.Length; i++)
            levels[i] = TL.Nearest(x.Numbers[i] * inverse);
    }

    /// <summary>The parts of a block of one group: the half next to the best scale, or that which just covers the numbers where it is nearer them.</summary>
    public static void Fill<TL>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) where TL : struct, ILevels
    {
        if (importance.IsEmpty)
            Fill<TL, EvenWeights>(values, importance, parts);
        else
            Fill<TL, GivenWeights>(values, importance, parts);
    }

    [SkipLocalsInit]
    static void Fill<TL, TW>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        Span<Vector256<float>> numbers = stackalloc Vector256<float>[values.Length], weights = stackalloc Vector256<float>[importance.Length];
        GroupLanes.Deal(values, values.Length, numbers);
        GroupLanes.Deal(importance, importance.Length, weights);
        GroupLanes x = new(numbers, weights);
        Half scale = (Half)Best<TL, TW>(x)[0], plain = (Half)Plain<TL>(x)[0];
        if (Error<TL, TW>(x, Vector256.Create((float)plain))[0] < Error<TL, TW>(x, Vector256.Create((float)scale))[0])
            scale = plain;
        parts.FillOneGroup(scale);
        Round<TL>(x, Vector256.Create((float)scale), numbers);
        for (int i = 0; i < values.Length; i++)
            parts.Codes[i] = (byte)TL.CodeOf(numbers[i][0]);
    }

    // The number of largest magnitude, the first of several.
    static Vector256<float> Extreme(GroupLanes x)
    {
        Vector256<float> extreme = default;
        foreach (Vector256<float> numbers in x.Numbers)
            extreme = Vector256.ConditionalSelect(Vector256.GreaterThan(Vector256.Abs(numbers), Vector256.Abs(extreme)), numbers, extreme);
        return extreme;
    }
}
