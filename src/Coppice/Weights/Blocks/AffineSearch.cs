using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>The scales s and minima m of eight groups of numbers that are to be s q - m with codes q from 0 to a largest one, by the sums of weighted squared errors.</summary>
static class AffineSearch
{
    // Scales that are tried on either side of the one that just covers the numbers, a fifth of a code apart.
    const int Tries = 5;

    /// <summary>The scales, 0 or more, and the minima that just cover the numbers, and zero where minima are not <paramref name="signed"/>.</summary>
    public static (Vector256<float> Scale, Vector256<float> Min) Plain(GroupLanes x, int most, bool signed = false)
    {
        Vector256<float> least = signed ? Vector256.Create(float.PositiveInfinity) : default, largest = Vector256.Create(float.NegativeInfinity);
        foreach (Vector256<float> numbers in x.Numbers)
            (least, largest) = (Vector256.MinNative(least, numbers), Vector256.MaxNative(largest, numbers));
        return ((largest - least) / Vector256.Create((float)most), -least);
    }

    /// <summary>The best of many around the <paramref name="plain"/> ones: with the codes that a scale gives, scale and minimum are those of linear regression. Minima are 0 or more unless <paramref name="signed"/>.</summary>
    [SkipLocalsInit]
    public static AffineFit Best<TW>(GroupLanes x, (Vector256<float> Scale, Vector256<float> Min) plain, int most, bool signed = false) where TW : struct, IErrorWeights
    {
        (Vector256<float> scale, Vector256<float> min) = plain;
        Search<TW> search = new(x, most, signed) { Scale = scale, Min = min, Most = Vector256.Create(float.NegativeInfinity) };
        Span<Vector256<float>> raised = stackalloc Vector256<float>[x.Numbers.Length];
        for (int i = 0; i < raised.Length; i++)
            raised[i] = x.Numbers[i] + min;
        Vector256<float> inverse = Vector256<float>.One / scale, step = inverse * (0.2f / most);
        for (int i = -Tries; i < Tries; i += 2)
            search.TryRaised(raised, inverse + step * i, inverse + step * (i + 1));
        search.Try(inverse + step * Tries, min, Vector256<float>.One / search.Scale, search.Min);
        return search.Found;
    }

    ref struct Search<TW> where TW : struct, IErrorWeights
    {
        readonly GroupLanes x;
        readonly Vector256<float> end, n, inverseN, sumX, atLeast;
        Vector256<float> codes, squares;

        public Search(GroupLanes x, int most, bool signed)
        {
            (end, atLeast) = (Vector256.Create((float)most), Vector256.Create(signed ? float.NegativeInfinity : 0));
            this.x = x;
            Vector256<float> n = default, sumX = default;
            ReadOnlySpan<Vector256<float>> numbers = x.Numbers, weights = x.Weights;
            for (int i = 0; i < numbers.Length; i++)
            {
                n += TW.Weigh(Vector256<float>.One, weights, i);
                sumX += TW.Weigh(numbers[i], weights, i);
            }
            (this.n, inverseN, this.sumX) = (n, Vector256<float>.One / n, sumX);
        }

        public Vector256<float> Scale, Min, Most;

        // Two at a time, for each sum waits on its last addition. A lane whose scale is 0, or its inverse infinite, has no numbers below and keeps what it had.
        public void Try(Vector256<float> inverseA, Vector256<float> minA, Vector256<float> inverseB, Vector256<float> minB)
        {
            Vector256<float> codesA = default, squaresA = default, productsA = default, codesB = default, squaresB = default, productsB = default, end = this.end;
            ReadOnlySpan<Vector256<float>> numbers = x.Numbers, weights = x.Weights;
            for (int i = 0; i < numbers.Length; i++)
            {
                Vector256<float> number = numbers[i], a = Nearest(number, minA, inverseA, end), b = Nearest(number, minB, inverseB, end), ownA = TW.Weigh(a, weights, i), ownB = TW.Weigh(b, weights, i);
                codesA += ownA;
                codesB += ownB;
                squaresA = Vector256.FusedMultiplyAdd(ownA, a, squaresA);
                squaresB = Vector256.FusedMultiplyAdd(ownB, b, squaresB);
                productsA = Vector256.FusedMultiplyAdd(ownA, number, productsA);
                productsB = Vector256.FusedMultiplyAdd(ownB, number, productsB);
            }
            Take(codesA, squaresA, productsA);
            Take(codesB, squaresB, productsB);
        }

        // The same with numbers that a minimum has raised to 0 or more.
        public void TryRaised(scoped ReadOnlySpan<Vector256<float>> raised, Vector256<float> inverseA, Vector256<float> inverseB)
        {
            Vector256<float> codesA = default, squaresA = default, productsA = default, codesB = default, squaresB = default, productsB = default, end = this.end;
            ReadOnlySpan<Vector256<float>> numbers = x.Numbers, weights = x.Weights;
            for (int i = 0; i < raised.Length; i++)
            {
                Vector256<float> number = numbers[i], a = Vector256.MinNative(Vector256.Round(raised[i] * inverseA), end), b = Vector256.MinNative(Vector256.Round(raised[i] * inverseB), end);
                Vector256<float> ownA = TW.Weigh(a, weights, i), ownB = TW.Weigh(b, weights, i);
                codesA += ownA;
                codesB += ownB;
                squaresA = Vector256.FusedMultiplyAdd(ownA, a, squaresA);
                squaresB = Vector256.FusedMultiplyAdd(ownB, b, squaresB);
                productsA = Vector256.FusedMultiplyAdd(ownA, number, productsA);
                productsB = Vector256.FusedMultiplyAdd(ownB, number, productsB);
            }
            Take(codesA, squaresA, productsA);
            Take(codesB, squaresB, productsB);
        }

        /// <summary>The best that was tried.</summary>
        public readonly AffineFit Found => new(Scale, Min, codes, squares);

        // Divided last, and once: where the minimum of linear regression is out of bounds it is 0, and the scale that of regression without one.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Take(Vector256<float> codes, Vector256<float> squares, Vector256<float> products)
        {
            Vector256<float> determinant = n * squares - codes * codes, numerator = n * products - sumX * codes, minNumerator = numerator * codes - sumX * determinant;
            Vector256<float> isBelow = Vector256.LessThan(minNumerator, atLeast);
            Vector256<float> scale = Vector256.ConditionalSelect(isBelow, products, numerator) / Vector256.ConditionalSelect(isBelow, squares, determinant);
            Vector256<float> m = Vector256.AndNot((scale * codes - sumX) * inverseN, isBelow);
            // What sum (s q - m - x)^2 is less than sum x^2.
            Vector256<float> taken = scale * products - m * sumX;
            Vector256<float> isBetter = Vector256.GreaterThan(taken, Most) & Vector256.GreaterThan(scale, default) & Vector256.GreaterThan(determinant, default);
            Scale = Vector256.ConditionalSelect(isBetter, scale, Scale);
            Min = Vector256.ConditionalSelect(isBetter, m, Min);
            Most = Vector256.ConditionalSelect(isBetter, taken, Most);
            this.codes = Vector256.ConditionalSelect(isBetter, codes, this.codes);
            this.squares = Vector256.ConditionalSelect(isBetter, squares, this.squares);
        }
    }

    /// <summary>The sums of squared errors with the nearest codes.</summary>
    public static Vector256<float> Error<TW>(GroupLanes x, Vector256<float> scale, Vector256<float> min, int most) where TW : struct, IErrorWeights
    {
        Vector256<float> inverse = GroupLanes.Inverse(scale), end = Vector256.Create((float)most), errors = default;
        ReadOnlySpan<Vector256<float>> numbers = x.Numbers, weights = x.Weights;
        for (int i = 0; i < numbers.Length; i++)
        {
            Vector256<float> raised = numbers[i] + min, error = Vector256.FusedMultiplyAdd(Within(raised * inverse, end), scale, -raised);
            errors = Vector256.FusedMultiplyAdd(TW.Weigh(error, weights, i), error, errors);
        }
        return errors;
    }

    /// <summary>The same with three scales and minima at a time.</summary>
    public static (Vector256<float> A, Vector256<float> B, Vector256<float> C) Errors<TW>(GroupLanes x, (Vector256<float> Scale, Vector256<float> Min) a, (Vector256<float> Scale, Vector256<float> Min) b, (Vector256<float> Scale, Vector256<float> Min) c, int most) where TW : struct, IErrorWeights
    {
        Vector256<float> inverseA = GroupLanes.Inverse(a.Scale), inverseB = GroupLanes.Inverse(b.Scale), inverseC = GroupLanes.Inverse(c.Scale), lessA = -a.Scale, lessB = -b.Scale, lessC = -c.Scale;
        Vector256<float> end = Vector256.Create((float)most), errorsA = default, errorsB = default, errorsC = default;
        ReadOnlySpan<Vector256<float>> numbers = x.Numbers, weights = x.Weights;
        for (int i = 0; i < numbers.Length; i++)
        {
            Vector256<float> raisedA = numbers[i] + a.Min, raisedB = numbers[i] + b.Min, raisedC = numbers[i] + c.Min;
            Vector256<float> errorA = Vector256.FusedMultiplyAdd(Within(raisedA * inverseA, end), lessA, raisedA), errorB = Vector256.FusedMultiplyAdd(Within(raisedB * inverseB, end), lessB, raisedB), errorC = Vector256.FusedMultiplyAdd(Within(raisedC * inverseC, end), lessC, raisedC);
            errorsA = Vector256.FusedMultiplyAdd(TW.Weigh(errorA, weights, i), errorA, errorsA);
            errorsB = Vector256.FusedMultiplyAdd(TW.Weigh(errorB, weights, i), errorB, errorsB);
            errorsC = Vector256.FusedMultiplyAdd(TW.Weigh(errorC, weights, i), errorC, errorsC);
        }
        return (errorsA, errorsB, errorsC);
    }

    /// <summary>The sums that scales and minima are fitted by, with the nearest codes.</summary>
    public static AffineSums Sums<TW>(GroupLanes x, Vector256<float> scale, Vector256<float> min, int most) where TW : struct, IErrorWeights
    {
        Vector256<float> inverse = GroupLanes.Inverse(scale), end = Vector256.Create((float)most), n = default, codes = default, squares = default, products = default, sumX = default;
        ReadOnlySpan<Vector256<float>> numbers = x.Numbers, weights = x.Weights;
        for (int i = 0; i < numbers.Length; i++)
        {
            Vector256<float> code = Nearest(numbers[i], min, inverse, end), own = TW.Weigh(code, weights, i);
            n += TW.Weigh(Vector256<float>.One, weights, i);
            sumX += TW.Weigh(numbers[i], weights, i);
            codes += own;
            squares = Vector256.FusedMultiplyAdd(own, code, squares);
            products = Vector256.FusedMultiplyAdd(own, numbers[i], products);
        }
        return new AffineSums(n, codes, squares, sumX, products);
    }

    /// <summary>The nearest codes.</summary>
    public static void Round(GroupLanes x, Vector256<float> scale, Vector256<float> min, int most, Span<Vector256<float>> codes)
    {
        Vector256<float> inverse = GroupLanes.Inverse(scale), end = Vector256.Create((float)most);
        for (int i = 0; i < x.Numbers.Length; i++)
            codes[i] = Nearest(x.Numbers[i], min, inverse, end);
    }

    /// <summary>The parts of a block of one group whose minimum may have either sign, never further from the numbers than with the scale and minimum that just cover them.</summary>
    public static void Fill(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, int most, BlockParts parts)
    {
        if (importance.IsEmpty)
            Fill<EvenWeights>(values, importance, most, parts);
        else
            Fill<GivenWeights>(values, importance, most, parts);
    }

    [SkipLocalsInit]
    static void Fill<TW>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, int most, BlockParts parts) where TW : struct, IErrorWeights
    {
        Span<Vector256<float>> numbers = stackalloc Vector256<float>[values.Length], weights = stackalloc Vector256<float>[importance.Length];
        GroupLanes.Deal(values, values.Length, numbers);
        GroupLanes.Deal(importance, importance.Length, weights);
        GroupLanes x = new(numbers, weights);
        (Vector256<float>, Vector256<float>) covering = Plain(x, most, signed: true);
        AffineFit fit = Best<TW>(x, covering, most, signed: true);
        (Half Scale, Half Min) plain = First(covering), best = First((fit.Scale, fit.Min));
        if (ErrorOfFirst<TW>(x, plain, most) < ErrorOfFirst<TW>(x, best, most))
            best = plain;
        parts.FillOneGroup(best.Scale, -best.Min, -1);
        Round(x, Vector256.Create((float)best.Scale), Vector256.Create((float)best.Min), most, numbers);
        GroupLanes.Gather(numbers, values.Length, parts.Codes);

        static (Half, Half) First((Vector256<float> Scale, Vector256<float> Min) all) => ((Half)all.Scale[0], (Half)all.Min[0]);
    }

    static float ErrorOfFirst<TW>(GroupLanes x, (Half Scale, Half Min) stored, int most) where TW : struct, IErrorWeights =>
        Error<TW>(x, Vector256.Create((float)stored.Scale), Vector256.Create((float)stored.Min), most)[0];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Nearest(Vector256<float> x, Vector256<float> min, Vector256<float> inverse, Vector256<float> most) =>
        Within((x + min) * inverse, most);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Within(Vector256<float> code, Vector256<float> most) => Vector256.MinNative(Vector256.MaxNative(Vector256.Round(code), default), most);
}

/// <summary>Scales s and minima m of groups of numbers, and sums over their codes q, all of them weighed.</summary>
/// <param name="Scale">s.</param>
/// <param name="Min">m.</param>
/// <param name="Codes">sum q.</param>
/// <param name="Squares">sum q^2.</param>
readonly record struct AffineFit(Vector256<float> Scale, Vector256<float> Min, Vector256<float> Codes, Vector256<float> Squares)
{
    /// <summary>The scale that goes best with a minimum.</summary>
    public Vector256<float> ScaleWith(Vector256<float> min) => Scale + Vector256.ConditionalSelect(Vector256.GreaterThan(Squares, default), (min - Min) * Codes / Squares, default);
}

/// <summary>Sums over the numbers x of each of eight groups and their codes q, all of them weighed.</summary>
/// <param name="Weights">sum 1.</param>
/// <param name="Codes">sum q.</param>
/// <param name="Squares">sum q^2.</param>
/// <param name="Numbers">sum x.</param>
/// <param name="Products">sum q x.</param>
readonly record struct AffineSums(Vector256<float> Weights, Vector256<float> Codes, Vector256<float> Squares, Vector256<float> Numbers, Vector256<float> Products);
