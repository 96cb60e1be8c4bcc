using System.Numerics.Tensors;

namespace Coppice.Compression.Quantize;

/// <summary>Rounding to a uniform grid whose scale is an f16 number, used as stored, and on which 0 is exact.</summary>
internal static class UniformGrid
{
    /// <summary>The scale and zero point of numbers that share them. Symmetric: 2 max|w| / (2^bits - 1), zero in the middle. Otherwise min(w, 0) to max(w, 0) over all codes. With a <paramref name="share"/> below 1 the range is that much smaller.</summary>
    public static (Half Scale, byte Zero) Fit(ReadOnlySpan<float> values, int bits, bool symmetric, float share = 1)
    {
        (float low, float high) = Extremes(values);
        return Fit(low * share, high * share, bits, symmetric);
    }

    /// <summary>The least and the largest number, 0 among them.</summary>
    public static (float Low, float High) Extremes(ReadOnlySpan<float> values) => values.IsEmpty
        ? (0, 0)
        : (Math.Min(0, TensorPrimitives.Min(values)), Math.Max(0, TensorPrimitives.Max(values)));

    /// <summary>The same for the range from <paramref name="low"/> to <paramref name="high"/>, with 0 inside.</summary>
    public static (Half Scale, byte Zero) Fit(float low, float high, int bits, bool symmetric)
    {
        int top = (1 << bits) - 1;
        if (symmetric)
            return (ToHalf(2 * Math.Max(-low, high) / top), (byte)(1 << (bits - 1)));
        Half scale = ToHalf((high - low) / top);
        return (scale, scale == Half.Zero ? (byte)0 : (byte)Math.Clamp(MathF.Round(-low / (float)scale), 0, top));
    }

    /// <summary>The nearest code, ties to even; a scale of 0 has only the code of 0.</summary>
    public static byte Code(float value, float scale, byte zero, int bits) =>
        scale == 0 ? zero : (byte)Math.Clamp(MathF.Round(value / scale) + zero, 0, (1 << bits) - 1);

    // A scale past f16's range would turn every product into infinity; the largest f16 clips instead.
    static Half ToHalf(float scale) => Half.IsInfinity((Half)scale) ? Half.MaxValue : (Half)scale;
}
