using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>Rounds a block of eight or sixteen groups to w = d s q - dmin m: halves d and dmin, small whole numbers s and m for each group, and a code q for each weight.</summary>
static class SuperAffine
{
    /// <summary>Finds them by the sum of squared errors, never further from the numbers than with the scales and minima that just cover each group. d or dmin is infinite where the numbers are too large.</summary>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockShape shape, BlockParts parts)
    {
        if (importance.IsEmpty)
            Search<EvenWeights>(values, importance, shape, parts);
        else
            Search<GivenWeights>(values, importance, shape, parts);
    }

    [SkipLocalsInit]
    static void Search<TW>(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockShape shape, BlockParts parts) where TW : struct, IErrorWeights
    {
        int size = shape.GroupSize, most = shape.Levels.Length - 1, limit = shape.Scales.Most, rounds = values.Length / size / GroupLanes.Count;
        Span<Vector256<float>> numbers = stackalloc Vector256<float>[values.Length / GroupLanes.Count], weights = stackalloc Vector256<float>[importance.Length / GroupLanes.Count];
        GroupLanes.Deal(values, size, numbers);
        GroupLanes.Deal(importance, size, weights);
        GroupLanes all = new(numbers, weights);
        Span<AffineFit> plain = stackalloc AffineFit[rounds], fits = stackalloc AffineFit[rounds];
        for (int i = 0; i < rounds; i++)
        {
            GroupLanes x = all.Eight(i, rounds);
            (Vector256<float> Scale, Vector256<float> Min) covering = AffineSearch.Plain(x, most);
            (plain[i], fits[i]) = (new AffineFit { Scale = covering.Scale, Min = covering.Min }, AffineSearch.Best<TW>(x, covering, most));
        }
        Units best = Units.Covering(plain, limit);
        (parts.Units[0], parts.Units[1]) = (best.Scale, best.Min);
        if (!Half.IsFinite(best.Scale) || !Half.IsFinite(best.Min))
            return;
        Span<Vector256<float>> s = stackalloc Vector256<float>[rounds], m = stackalloc Vector256<float>[rounds], triedS = stackalloc Vector256<float>[rounds], triedM = stackalloc Vector256<float>[rounds];
        triedS.Clear();
        triedM.Clear();
        float least = Round<TW>(all, plain, most, limit, best, s, m);
        for (int attempt = 0; attempt < 2; attempt++)
        {
            Units units = attempt == 0 ? Units.Covering(fits, limit) : Refit<TW>(all, s, m, most, best);
            float error = Fit<TW>(all, fits, most, limit, units, triedS, triedM);
            if (!(error < least))
                continue;
            (best, least) = (units, error);
            triedS.CopyTo(s);
            triedM.CopyTo(m);
        }
        (parts.Units[0], parts.Units[1]) = (best.Scale, best.Min);
        for (int i = 0; i < rounds; i++)
        {
            int first = i * GroupLanes.Count;
            AffineSearch.Round(all.Eight(i, rounds), best.D * s[i], best.DMin * m[i], most, numbers.Slice(i * size, size));
            GroupLanes.ToBytes(s[i], parts.Scales[first..]);
            GroupLanes.ToBytes(m[i], parts.Mins[first..]);
        }
        GroupLanes.Gather(numbers, size, parts.Codes);
    }

    // Rounds scale / d and min / dmin to the nearest whole numbers s and m. Returns the sum of squared errors.
    static float Round<TW>(GroupLanes all, ReadOnlySpan<AffineFit> fits, int most, int limit, Units units, Span<Vector256<float>> s, Span<Vector256<float>> m) where TW : struct, IErrorWeights
    {
        Vector256<float> end = Vector256.Create((float)limit), total = default;
        for (int i = 0; i < fits.Length; i++)
        {
            (s[i], m[i]) = (Near(fits[i].Scale, units.D, end), Near(fits[i].Min, units.DMin, end));
            total += AffineSearch.Error<TW>(all.Eight(i, fits.Length), units.D * s[i], units.DMin * m[i], most);
        }
        return Vector256.Sum(total);
    }

    // The best for each group of three m next to min / dmin, each with the s that goes best with it and, where importance was given and time is for it, those on either side. Returns the sum of squared errors.
    static float Fit<TW>(GroupLanes all, ReadOnlySpan<AffineFit> fits, int most, int limit, Units units, Span<Vector256<float>> s, Span<Vector256<float>> m) where TW : struct, IErrorWeights
    {
        int reach = all.Weights.IsEmpty ? 0 : 1;
        Vector256<float> end = Vector256.Create((float)limit), total = default;
        for (int i = 0; i < fits.Length; i++)
        {
            GroupLanes x = all.Eight(i, fits.Length);
            Vector256<float> middle = Near(fits[i].Min, units.DMin, end), below = Within(middle - Vector256<float>.One, end), above = Within(middle + Vector256<float>.One, end);
            Vector256<float> sMiddle = ScaleWith(middle, fits[i]), sBelow = ScaleWith(below, fits[i]), sAbove = ScaleWith(above, fits[i]), least = Vector256.Create(float.PositiveInfinity);
            for (int aside = -reach; aside <= reach; aside++)
            {
                Vector256<float> step = Vector256.Create((float)aside), a = Within(sMiddle + step, end), b = Within(sBelow + step, end), c = Within(sAbove + step, end);
                (Vector256<float> errorA, Vector256<float> errorB, Vector256<float> errorC) = AffineSearch.Errors<TW>(x, (units.D * a, units.DMin * middle), (units.D * b, units.DMin * below), (units.D * c, units.DMin * above), most);
                Take(errorA, a, middle, ref least, ref s[i], ref m[i]);
                Take(errorB, b, below, ref least, ref s[i], ref m[i]);
                Take(errorC, c, above, ref least, ref s[i], ref m[i]);
            }
            total += least;
        }
        return Vector256.Sum(total);

        Vector256<float> ScaleWith(Vector256<float> min, in AffineFit fit) => Near(fit.ScaleWith(units.DMin * min), units.D, end);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Take(Vector256<float> error, Vector256<float> scale, Vector256<float> min, ref Vector256<float> least, ref Vector256<float> s, ref Vector256<float> m)
    {
        Vector256<float> isBetter = Vector256.LessThan(error, least);
        least = Vector256.ConditionalSelect(isBetter, error, least);
        s = Vector256.ConditionalSelect(isBetter, scale, s);
        m = Vector256.ConditionalSelect(isBetter, min, m);
    }

    // A unit of 0 has only 0.
    static Vector256<float> Near(Vector256<float> wanted, Vector256<float> unit, Vector256<float> limit) =>
        Vector256.ConditionalSelect(Vector256.Equals(unit, default), default, Within(Vector256.Round(wanted / unit), limit));

    static Vector256<float> Within(Vector256<float> number, Vector256<float> limit) => Vector256.MinNative(Vector256.MaxNative(number, default), limit);

    // With s, m and q as found, d and dmin by linear regression of x on s q and -m; unchanged where that is not determined.
    static Units Refit<TW>(GroupLanes all, ReadOnlySpan<Vector256<float>> s, ReadOnlySpan<Vector256<float>> m, int most, Units units) where TW : struct, IErrorWeights
    {
        Vector256<float> aa = default, ab = default, bb = default, ax = default, bx = default;
        for (int i = 0; i < s.Length; i++)
        {
            AffineSums sums = AffineSearch.Sums<TW>(all.Eight(i, s.Length), units.D * s[i], units.DMin * m[i], most);
            aa += s[i] * s[i] * sums.Squares;
            ab -= s[i] * m[i] * sums.Codes;
            bb += m[i] * m[i] * sums.Weights;
            ax += s[i] * sums.Products;
            bx -= m[i] * sums.Numbers;
        }
        double sumAA = Vector256.Sum(aa), sumAB = Vector256.Sum(ab), sumBB = Vector256.Sum(bb), sumAX = Vector256.Sum(ax), sumBX = Vector256.Sum(bx);
        double determinant = sumAA * sumBB - sumAB * sumAB, scale = (sumAX * sumBB - sumBX * sumAB) / determinant, min = (sumBX * sumAA - sumAX * sumAB) / determinant;
        return determinant > 0 && scale > 0 && min >= 0 && scale < 65504 && min < 65504 ? new Units((Half)scale, (Half)min) : units;
    }

    // d and dmin, and both in every lane.
    readonly struct Units(Half scale, Half min)
    {
        public Half Scale { get; } = scale;

        public Half Min { get; } = min;

        public Vector256<float> D { get; } = Vector256.Create((float)scale);

        public Vector256<float> DMin { get; } = Vector256.Create((float)min);

        // Those that take the largest scale and the largest minimum to the limit.
        public static Units Covering(ReadOnlySpan<AffineFit> wanted, int limit)
        {
            Vector256<float> scale = default, min = default;
            foreach (ref readonly AffineFit own in wanted)
                (scale, min) = (Vector256.MaxNative(scale, own.Scale), Vector256.MaxNative(min, own.Min));
            return new((Half)(Largest(scale) / limit), (Half)(Largest(min) / limit));
        }

        static float Largest(Vector256<float> numbers)
        {
            Vector128<float> four = Vector128.MaxNative(numbers.GetLower(), numbers.GetUpper());
            return Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3]));
        }
    }
}
