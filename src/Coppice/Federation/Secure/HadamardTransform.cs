using System.Numerics;
using System.Numerics.Tensors;
using Coppice.Federation.Codecs;

namespace Coppice.Federation.Secure;

/// <summary>
/// A random rotation of any number of numbers, and back. With P the largest power of two that is not above the length: the first P numbers get random signs and go through Sylvester's Hadamard matrix over sqrt(P), and
/// then, where P is below the length, the last P in the same way. Each number that comes out is a sum of P or more with random signs, so that none is likely to be much above norm / sqrt(P) (Suresh et al. 2017);
/// P is more than half of the length, nothing is padded, and it is orthogonal.
/// </summary>
static class HadamardTransform
{
    // Numbers that stay in a core's second cache while they are turned.
    const int CachedLength = 1 << 14;

    /// <summary>P of a length of 1 or more.</summary>
    public static int PowerOf(int length) => 1 << BitOperations.Log2((uint)length);

    /// <summary>Turns numbers in place. Sign i of the first stretch is bit i mod 64 of SplitMix64's output floor(i / 64) with the seed, 1 for minus; of the second with seed + 1.</summary>
    public static void Rotate(Span<float> values, ulong seed)
    {
        int power = PowerOf(values.Length);
        Flip(values[..power], seed);
        Transform(values[..power]);
        if (power == values.Length)
            return;
        Flip(values[^power..], seed + 1);
        Transform(values[^power..]);
    }

    /// <summary>Turns back what <see cref="Rotate"/> turned.</summary>
    public static void RotateBack(Span<float> values, ulong seed)
    {
        int power = PowerOf(values.Length);
        if (power < values.Length)
        {
            Transform(values[^power..]);
            Flip(values[^power..], seed + 1);
        }
        Transform(values[..power]);
        Flip(values[..power], seed);
    }

    static void Flip(Span<float> values, ulong seed)
    {
        for (int i = 0; i < values.Length; i += 64)
        {
            ulong bits = SplitMix.At(seed, (ulong)(i / 64));
            foreach (ref float value in values.Slice(i, Math.Min(64, values.Length - i)))
            {
                value = (bits & 1) == 0 ? value : -value;
                bits >>= 1;
            }
        }
    }

    // H / sqrt(P) is its own inverse.
    static void Transform(Span<float> values)
    {
        Butterflies(values);
        TensorPrimitives.Multiply(values, 1 / MathF.Sqrt(values.Length), values);
    }

    // Sums and differences at distance P/2, P/4, ..., 1; in either order they give H, and this one goes into halves that fit the cache.
    static void Butterflies(Span<float> values)
    {
        int half = values.Length / 2;
        if (values.Length <= CachedLength)
        {
            for (; half > 4; half /= 2)
                for (int start = 0; start < values.Length; start += 2 * half)
                    SumsAndDifferences(values.Slice(start, half), values.Slice(start + half, half));
            if (half == 4)
                Eights(values);
            else
                for (; half > 0; half /= 2)
                    for (int start = 0; start < values.Length; start += 2 * half)
                        SumsAndDifferences(values.Slice(start, half), values.Slice(start + half, half));
            return;
        }
        SumsAndDifferences(values[..half], values[half..]);
        Butterflies(values[..half]);
        Butterflies(values[half..]);
    }

    // Distances 4, 2 and 1 within each eight numbers, in registers.
    static void Eights(Span<float> values)
    {
        for (; values.Length >= 8; values = values[8..])
        {
            (float a, float b, float c, float d) = (values[0] + values[4], values[1] + values[5], values[2] + values[6], values[3] + values[7]);
            (float e, float f, float g, float h) = (values[0] - values[4], values[1] - values[5], values[2] - values[6], values[3] - values[7]);
            (a, b, c, d) = (a + c, b + d, a - c, b - d);
            (e, f, g, h) = (e + g, f + h, e - g, f - h);
            (values[7], values[6], values[5], values[4]) = (g - h, g + h, e - f, e + f);
            (values[3], values[2], values[1], values[0]) = (c - d, c + d, a - b, a + b);
        }
    }

    static void SumsAndDifferences(Span<float> a, Span<float> b)
    {
        int i = 0;
        for (; i <= a.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector<float> x = new(a[i..]), y = new(b[i..]);
            (x + y).CopyTo(a[i..]);
            (x - y).CopyTo(b[i..]);
        }
        for (; i < a.Length; i++)
            (a[i], b[i]) = (a[i] + b[i], a[i] - b[i]);
    }
}
