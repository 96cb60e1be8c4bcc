using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors.Simd;

namespace Coppice.Compression.Quantize;

/// <summary>How the range that a group's grid spans is chosen.</summary>
public enum RangeFit
{
    /// <summary>All of the group's numbers, the largest included.</summary>
    AbsMax,

    /// <summary>The range near that of <see cref="AbsMax"/> whose rounding has the least squared error, each number weighed by its input's mean square where that is known. The largest numbers may be clipped.</summary>
    SquaredError,

    /// <summary>The magnitude that a share of the group's numbers does not exceed.</summary>
    Percentile,

    /// <summary>The range whose rounding changes the distribution of magnitudes least, by KL divergence: TensorRT's entropy calibration.</summary>
    Kl,
}

/// <summary>Fits scales and zero points; <paramref name="importance"/> weighs columns, empty for all alike.</summary>
internal readonly unsafe struct GridRange(RangeFit fit, float[] importance, double percentile = 99.9)
{
    // Shares of the full range that are tried: 1.08, 1.06 ... 0.6. Past 1, a symmetric grid's upper end, which is a code short, reaches the largest number.
    const int Tries = 25, Partials = 16;
    const float First = 1.08f, Step = 0.02f;

    /// <summary>The whole range of every group.</summary>
    public static GridRange AbsMax { get; } = new(RangeFit.AbsMax, []);

    /// <summary>The scale and zero point on a grid of numbers that share them: part of a row, or many whole rows.</summary>
    public (Half Scale, byte Zero) Fit(ReadOnlySpan<float> values, int column, Grid grid)
    {
        if (grid.Levels is not { } table)
            return Fit(values, column, grid.Bits, grid.Symmetric);
        return (fit switch
        {
            RangeFit.AbsMax => LevelRange.Plain(values, table, grid.HasPowerOfTwoScales),
            RangeFit.SquaredError => LevelRange.LeastSquares(values, WeightsOf(values, column), table, grid.HasPowerOfTwoScales),
            RangeFit.Percentile => LevelRange.Spanning(ClippedRange.Percentile(values, percentile), table, grid.HasPowerOfTwoScales),
            _ => LevelRange.Spanning(ClippedRange.Entropy(values, magnitude => table.Nearest(magnitude * table.Range)), table, grid.HasPowerOfTwoScales),
        }, 0);
    }

    /// <summary>The scale and zero point of numbers that share them, of which the first stands in <paramref name="column"/>.</summary>
    public (Half Scale, byte Zero) Fit(ReadOnlySpan<float> values, int column, int bits, bool symmetric)
    {
        if (fit == RangeFit.AbsMax)
            return UniformGrid.Fit(values, bits, symmetric);
        (float low, float high) = UniformGrid.Extremes(values);
        if (fit is RangeFit.Percentile or RangeFit.Kl)
        {
            // Levels on either side of 0, half of them where the grid is centred.
            int top = (1 << bits) - 1;
            float end = fit == RangeFit.Percentile ? ClippedRange.Percentile(values, percentile) : ClippedRange.Entropy(values, magnitude => (int)MathF.Round(magnitude * (symmetric ? top / 2f : top)));
            return UniformGrid.Fit(Math.Max(low, -end), Math.Min(high, end), bits, symmetric);
        }
        ReadOnlySpan<float> weights = WeightsOf(values, column);
        (Half, byte) best = default;
        float least = float.PositiveInfinity;
        for (int i = 0; i < Tries; i++)
        {
            float share = First - i * Step;
            (Half scale, byte zero) = UniformGrid.Fit(low * share, high * share, bits, symmetric);
            float error = Error(values, weights, (float)scale, zero, bits);
            if (error < least)
                (best, least) = ((scale, zero), error);
        }
        return best;
    }

    // Whole rows, one after another, have the same weights each.
    ReadOnlySpan<float> WeightsOf(ReadOnlySpan<float> values, int column)
    {
        if (importance.Length == 0)
            return default;
        if (column + values.Length <= importance.Length)
            return importance.AsSpan(column, values.Length);
        float[] repeated = new float[values.Length];
        for (int start = 0; start < repeated.Length; start += importance.Length)
            importance.CopyTo(repeated.AsSpan(start));
        return repeated;
    }

    // Sum of weight (w - scale (code - zero))^2 with the codes of UniformGrid.Code: sixteen partial sums, then in halves, the same at every width.
    static float Error(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, float scale, byte zero, int bits)
    {
        float* partial = stackalloc float[Partials];
        Misses misses = new(scale, zero, bits);
        fixed (float* value = values, weight = weights)
        {
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512: Sum<Lanes512, Vector512<float>>(misses, value, weight, values.Length, partial); break;
                case SimdLevel.Vector256: Sum<Lanes256, Vector256<float>>(misses, value, weight, values.Length, partial); break;
                case SimdLevel.Vector128: Sum<Lanes128, Vector128<float>>(misses, value, weight, values.Length, partial); break;
                default: Sum<Lanes1, float>(misses, value, weight, values.Length, partial); break;
            }
        }
        for (int half = Partials / 2; half >= 1; half /= 2)
            for (int i = 0; i < half; i++)
                partial[i] += partial[i + half];
        return partial[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Sum<TL, TV>(Misses misses, float* values, float* weights, int count, float* partial) where TL : struct, ILanes<TV> where TV : struct
    {
        int whole = count - count % Partials;
        for (int lane = 0; lane < Partials; lane += TL.Count)
        {
            TV sum = default;
            for (int i = lane; i < whole; i += Partials)
                sum = misses.Add<TL, TV>(values + i, weights == null ? null : weights + i, sum);
            TL.Store(sum, partial + lane);
        }
        for (int i = whole; i < count; i++)
            partial[i - whole] = misses.Add<Lanes1, float>(values + i, weights == null ? null : weights + i, partial[i - whole]);
    }

    readonly struct Misses(float scale, byte zero, int bits)
    {
        // Added and taken away again, it leaves a number rounded to a whole one, ties to even; numbers here are at most 255.
        const float Rounder = 12582912;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TV Add<TL, TV>(float* value, float* weight, TV sum) where TL : struct, ILanes<TV> where TV : struct
        {
            TV w = TL.Load(value), miss = w;
            if (scale != 0)
            {
                TV code = TL.Max(TL.Min(TL.Divide(w, TL.Broadcast(scale)), TL.Broadcast((1 << bits) - 1 - zero)), TL.Broadcast(-zero));
                code = TL.Subtract(TL.Add(code, TL.Broadcast(Rounder)), TL.Broadcast(Rounder));
                miss = TL.Subtract(w, TL.Multiply(TL.Broadcast(scale), code));
            }
            return TL.MultiplyAdd(weight == null ? miss : TL.Multiply(miss, TL.Load(weight)), miss, sum);
        }
    }
}
