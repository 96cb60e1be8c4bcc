using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

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
            search.Try(Vector256.Create(TL.Least * stretch) / extreme, Vector256.Create(TL.Most * stretch) / extreme);
        }
        Vector256<float> refined = Vector256<float>.One / search.Scale;
        search.Try(refined, refined);
        return search.Scale;
    }

    ref struct Search<TL, TW> where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        public GroupLanes Numbers;
        public Vector256<float> Scale, Most;

        // Two at a time, for each sum waits on its last addition. A lane of zeros takes nothing away and keeps a scale of 0.
        public void Try(Vector256<float> inverseA, Vector256<float> inverseB)
        {
            Vector256<float> productsA = default, squaresA = default, productsB = default, squaresB = default;
            ReadOnlySpan<Vector256<float>> numbers = Numbers.Numbers, weights = Numbers.Weights;
            for (int i = 0; i < numbers.Length; i++)
            {
                Vector256<float> number = numbers[i], a = TL.Nearest(number * inverseA), b = TL.Nearest(number * inverseB), ownA = TW.Weigh(a, weights, i), ownB = TW.Weigh(b, weights, i);
                productsA = Vector256.FusedMultiplyAdd(number, ownA, productsA);
                productsB = Vector256.FusedMultiplyAdd(number, ownB, productsB);
                squaresA = Vector256.FusedMultiplyAdd(a, ownA, squaresA);
                squaresB = Vector256.FusedMultiplyAdd(b, ownB, squaresB);
            }
            Take(productsA, squaresA);
            Take(productsB, squaresB);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Take(Vector256<float> products, Vector256<float> squares)
        {
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
            Vector256<float> error = Vector256.FusedMultiplyAdd(TL.Nearest(x.Numbers[i] * inverse), scale, -x.Numbers[i]);
            errors = Vector256.FusedMultiplyAdd(TW.Weigh(error, x.Weights, i), error, errors);
        }
        return errors;
    }

    /// <summary>The same with three scales at a time.</summary>
    public static (Vector256<float> A, Vector256<float> B, Vector256<float> C) Errors<TL, TW>(GroupLanes x, Vector256<float> a, Vector256<float> b, Vector256<float> c) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        Vector256<float> inverseA = GroupLanes.Inverse(a), inverseB = GroupLanes.Inverse(b), inverseC = GroupLanes.Inverse(c), errorsA = default, errorsB = default, errorsC = default;
        ReadOnlySpan<Vector256<float>> numbers = x.Numbers, weights = x.Weights;
        for (int i = 0; i < numbers.Length; i++)
        {
            Vector256<float> number = numbers[i], errorA = Vector256.FusedMultiplyAdd(TL.Nearest(number * inverseA), a, -number), errorB = Vector256.FusedMultiplyAdd(TL.Nearest(number * inverseB), b, -number), errorC = Vector256.FusedMultiplyAdd(TL.Nearest(number * inverseC), c, -number);
            errorsA = Vector256.FusedMultiplyAdd(TW.Weigh(errorA, weights, i), errorA, errorsA);
            errorsB = Vector256.FusedMultiplyAdd(TW.Weigh(errorB, weights, i), errorB, errorsB);
            errorsC = Vector256.FusedMultiplyAdd(TW.Weigh(errorC, weights, i), errorC, errorsC);
        }
        return (errorsA, errorsB, errorsC);
    }

    /// <summary>sum x l and sum l^2 with the nearest levels, weighed.</summary>
    public static (Vector256<float> Products, Vector256<float> Squares) Sums<TL, TW>(GroupLanes x, Vector256<float> scale) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        Vector256<float> inverse = GroupLanes.Inverse(scale), products = default, squares = default;
        ReadOnlySpan<Vector256<float>> numbers = x.Numbers, weights = x.Weights;
        for (int i = 0; i < numbers.Length; i++)
        {
            Vector256<float> level = TL.Nearest(numbers[i] * inverse), own = TW.Weigh(level, weights, i);
            products = Vector256.FusedMultiplyAdd(numbers[i], own, products);
            squares = Vector256.FusedMultiplyAdd(level, own, squares);
        }
        return (products, squares);
    }

    /// <summary>The nearest levels.</summary>
    public static void Round<TL>(GroupLanes x, Vector256<float> scale, Span<Vector256<float>> levels) where TL : struct, ILevels
    {
        Vector256<float> inverse = GroupLanes.Inverse(scale);
        for (int i = 0; i < x.Numbers.Length; i++)
            levels[i] = TL.Nearest(x.Numbers[i] * inverse);
    }

    /// <summary>The codes of the nearest levels.</summary>
    public static void RoundToCodes<TL>(GroupLanes x, Vector256<float> scale, Span<Vector256<float>> codes) where TL : struct, ILevels
    {
        Round<TL>(x, scale, codes);
        foreach (ref Vector256<float> levels in codes)
            levels = TL.CodesOf(levels);
    }

    /// <summary>The parts of a block of one group: see <see cref="Fill{TL}(ReadOnlySpan{float}, ReadOnlySpan{float}, int, Span{Half}, Span{byte})"/>.</summary>
    public static void Fill<TL>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) where TL : struct, ILevels
    {
        Half scale = default;
        Fill<TL>(values, importance, values.Length, new Span<Half>(ref scale), parts.Codes);
        parts.FillOneGroup(scale);
    }

    /// <summary>The scale and the codes of each of up to eight groups: the half next to the best scale, or that which just covers the numbers where it is nearer them.</summary>
    public static void Fill<TL>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, int size, Span<Half> scales, Span<byte> codes) where TL : struct, ILevels
    {
        if (importance.IsEmpty)
            Fill<TL, EvenWeights>(values, importance, size, scales, codes);
        else
            Fill<TL, GivenWeights>(values, importance, size, scales, codes);
    }

    [SkipLocalsInit]
    static void Fill<TL, TW>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, int size, Span<Half> scales, Span<byte> codes) where TL : struct, ILevels where TW : struct, IErrorWeights
    {
        Span<Vector256<float>> numbers = stackalloc Vector256<float>[size], weights = stackalloc Vector256<float>[importance.IsEmpty ? 0 : size];
        GroupLanes.Deal(values, size, numbers);
        GroupLanes.Deal(importance, size, weights);
        GroupLanes x = new(numbers, weights);
        Vector256<float> best = Stored(Best<TL, TW>(x)), plain = Stored(Plain<TL>(x));
        best = Vector256.ConditionalSelect(Vector256.LessThan(Error<TL, TW>(x, plain), Error<TL, TW>(x, best)), plain, best);
        for (int lane = 0; lane < scales.Length; lane++)
            scales[lane] = (Half)best[lane];
        RoundToCodes<TL>(x, best, numbers);
        GroupLanes.Gather(numbers, size, codes);
    }

    // As a half holds them.
    static Vector256<float> Stored(Vector256<float> scales)
    {
        for (int lane = 0; lane < GroupLanes.Count; lane++)
            scales = scales.WithElement(lane, (float)(Half)scales[lane]);
        return scales;
    }

    // The number of largest magnitude, the first of several.
    static Vector256<float> Extreme(GroupLanes x)
    {
        Vector256<float> extreme = default;
        foreach (Vector256<float> numbers in x.Numbers)
            extreme = Further(numbers, extreme);
        return extreme;
    }

    /// <summary>Of each lane the number of larger magnitude, the second of two alike.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Further(Vector256<float> a, Vector256<float> b) => Vector256.ConditionalSelect(Vector256.GreaterThan(Vector256.Abs(a), Vector256.Abs(b)), a, b);
}
