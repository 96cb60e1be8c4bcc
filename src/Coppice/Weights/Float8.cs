namespace Coppice.Weights;

/// <summary>Which 8 bits.</summary>
public enum Float8Format
{
    /// <summary>4 bits of exponent, 3 of mantissa, no infinities: up to 448 in steps of an eighth and less, as PyTorch's float8_e4m3fn.</summary>
    E4M3,

    /// <summary>5 bits of exponent, 2 of mantissa: the upper byte of a half, up to 57344.</summary>
    E5M2,
}

/// <summary>Between float32 and 8-bit numbers (Micikevicius et al. 2022). Widening is exact; narrowing rounds to nearest, ties to even, and saturates.</summary>
static class Float8
{
    static readonly float[] E4M3 = [.. Enumerable.Range(0, 256).Select(bits => Widen(bits, 3, 7))];

    static readonly float[] E5M2 = [.. Enumerable.Range(0, 256).Select(bits => (float)BitConverter.UInt16BitsToHalf((ushort)(bits << 8)))];

    /// <summary>The largest finite number.</summary>
    public static float Max(Float8Format format) => format == Float8Format.E4M3 ? 448 : 57344;

    /// <summary>The 256 numbers by their bits.</summary>
    public static ReadOnlySpan<float> Numbers(Float8Format format) => format == Float8Format.E4M3 ? E4M3 : E5M2;

    /// <summary>Widens.</summary>
    public static void ToSingle(Float8Format format, ReadOnlySpan<byte> bits, Span<float> destination)
    {
        ReadOnlySpan<float> numbers = Numbers(format);
        destination = destination[..bits.Length];
        for (int i = 0; i < bits.Length; i++)
            destination[i] = numbers[bits[i]];
    }

    /// <summary>Narrows. What is too large, infinities among it, becomes <see cref="Max"/>; a NaN stays one.</summary>
    public static void FromSingle(Float8Format format, ReadOnlySpan<float> values, Span<byte> destination)
    {
        (int mantissa, int bias, int largest) = format == Float8Format.E4M3 ? (3, 7, 0x7E) : (2, 15, 0x7B);
        for (int i = 0; i < values.Length; i++)
        {
            float magnitude = MathF.Abs(values[i]);
            int code;
            if (float.IsNaN(magnitude))
                code = 0x7F;
            else if (magnitude < MathF.ScaleB(1, 1 - bias))
                // Below the smallest exponent all steps are alike; rounding up to the next one carries into it.
                code = (int)MathF.Round(MathF.ScaleB(magnitude, bias - 1 + mantissa), MidpointRounding.ToEven);
            else
            {
                uint bits = BitConverter.SingleToUInt32Bits(magnitude);
                int drop = 23 - mantissa;
                bits += (1u << drop - 1) - 1 + (bits >> drop & 1);
                code = (int)Math.Min((bits >> drop) - (uint)(127 - bias << mantissa), (uint)largest);
            }
            destination[i] = (byte)(code | (float.IsNegative(values[i]) ? 0x80 : 0));
        }
    }

    /// <summary>The first infinity or NaN, or -1.</summary>
    public static int IndexOfNonFinite(Float8Format format, ReadOnlySpan<byte> bits)
    {
        if (format == Float8Format.E4M3)
            return bits.IndexOfAny((byte)0x7F, (byte)0xFF);
        for (int i = 0; i < bits.Length; i++)
            if ((bits[i] & 0x7C) == 0x7C)
                return i;
        return -1;
    }

    static float Widen(int bits, int mantissa, int bias)
    {
        int exponent = bits >> mantissa & (1 << 7 - mantissa) - 1, fraction = bits & (1 << mantissa) - 1;
        float magnitude = (bits & 0x7F) == 0x7F ? float.NaN
            : exponent == 0 ? MathF.ScaleB(fraction, 1 - bias - mantissa)
            : MathF.ScaleB((1 << mantissa) + fraction, exponent - bias - mantissa);
        return bits >= 0x80 ? -magnitude : magnitude;
    }
}
