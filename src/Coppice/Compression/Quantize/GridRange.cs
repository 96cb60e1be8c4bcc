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
}

/// <summary>Fits scales and zero points; <paramref name="importance"/> weighs columns, empty for all alike.</summary>
internal readonly unsafe struct GridRange(RangeFit fit, float[] importance)
{
    // Shares of the full range that are tried: 1.08, 1.06 ... 0.6. Past 1, a symmetric grid's upper end, which is a code short, reaches the largest number.
    const int Tries = 25, Partials = 16;
    const float First = 1.08f, Step = 0.02f;

    /// <summary>The whole range of every group.</summary>
    public static GridRange AbsMax { get; } = new(RangeFit.AbsMax, []);

    /// <summary>The scale and zero point of numbers that share them, of which the first stands in <paramref name="column"/>.</summary>
    public (Half Scale, byte Zero) Fit(ReadOnlySpan<float> values, int column, int bits, bool symmetric)
    {
        if (fit == RangeFit.AbsMax)
            return UniformGrid.Fit(values, bits, symmetric);
        ReadOnlySpan<float> weights = importance.Length == 0 ? default : importance.AsSpan(column, values.Length);
        (float low, float high) = UniformGrid.Extremes(values);
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
