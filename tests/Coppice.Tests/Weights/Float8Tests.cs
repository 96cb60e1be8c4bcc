using Coppice.Weights;

namespace Coppice.Tests.Weights;

public class Float8Tests
{
    public static TheoryData<Float8Format> Formats => [Float8Format.E4M3, Float8Format.E5M2];

    [Theory]
    [MemberData(nameof(Formats))]
    public void All_256_numbers_widen_by_the_formats_definition(Float8Format format)
    {
        byte[] bits = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        float[] numbers = new float[256];
        Float8.ToSingle(format, bits, numbers);
        for (int i = 0; i < 256; i++)
            Assert.Equal((float)Definition(format, i), numbers[i]);
        Assert.Equal(format == Float8Format.E4M3 ? [0x7F, 0xFF] : new int[] { 0x7C, 0x7D, 0x7E, 0x7F, 0xFC, 0xFD, 0xFE, 0xFF }, Enumerable.Range(0, 256).Where(i => Float8.IndexOfNonFinite(format, [0, (byte)i]) == 1));
        Assert.Equal(numbers.Where(float.IsFinite).Max(), Float8.Max(format));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Numbers_narrow_to_the_nearest_and_of_two_to_the_even_one(Float8Format format)
    {
        double[] all = [.. Enumerable.Range(0, 128).Select(i => Definition(format, i)).Where(double.IsFinite)];
        List<float> values = [];
        // All numbers, the middles between them, and what lies next to these.
        for (int i = 0; i + 1 < all.Length; i++)
            foreach (double value in new[] { all[i], (all[i] + all[i + 1]) / 2 })
                values.AddRange([(float)value, float.BitIncrement((float)value), float.BitDecrement((float)value)]);
        Random random = new(1);
        for (int i = 0; i < 2000; i++)
            values.Add(MathF.ScaleB(random.NextSingle(), random.Next(-24, 20)));
        values.AddRange([0, 1e30f, float.PositiveInfinity, float.Epsilon]);
        values.AddRange([.. values.Select(value => -value)]);
        byte[] bits = new byte[values.Count];
        Float8.FromSingle(format, [.. values], bits);
        for (int i = 0; i < bits.Length; i++)
        {
            double magnitude = Math.Min(Math.Abs((double)values[i]), all[^1]);
            int nearest = Enumerable.Range(0, all.Length).MinBy(code => (Math.Abs(all[code] - magnitude), code & 1));
            Assert.True((bits[i] & 0x7F) == nearest, $"{values[i]:R} became {bits[i]:X}, wanted {nearest:X}");
            Assert.Equal(float.IsNegative(values[i]), bits[i] >= 0x80);
        }
    }

    [Fact]
    public void Rows_are_scaled_and_reordered_with_their_scales()
    {
        // 0x38 is 1, 0xC0 is -2.
        Float8Weight weight = new(Float8Format.E4M3, 2, 2, new byte[] { 0x38, 0xC0, 0x40, 0x38 }, [3, 0.1f]);
        Assert.Equal([3f, -6f, 0.2f, 0.1f], weight.ToDense());
        Assert.Equal([0.2f, 0.1f, 3f, -6f], weight.Reorder([1, 0]).ToDense());
        Assert.Equal(4 + 8, weight.ByteCount);
        Assert.Throws<ArgumentException>(() => new Float8Weight(Float8Format.E4M3, 3, 2, new byte[6], [1, 2]));
    }

    // Sign, exponent, fraction, from the paper; E4M3 has no infinity and one NaN of each sign.
    static double Definition(Float8Format format, int bits)
    {
        (int mantissa, int bias) = format == Float8Format.E4M3 ? (3, 7) : (2, 15);
        int exponent = (bits & 0x7F) >> mantissa, fraction = bits & (1 << mantissa) - 1;
        double sign = bits < 128 ? 1 : -1, part = fraction / (double)(1 << mantissa);
        if (format == Float8Format.E4M3 ? (bits & 0x7F) == 0x7F : exponent == 31 && fraction != 0)
            return double.NaN;
        if (format == Float8Format.E5M2 && exponent == 31)
            return sign * double.PositiveInfinity;
        return sign * (exponent == 0 ? part * Math.Pow(2, 1 - bias) : (1 + part) * Math.Pow(2, exponent - bias));
    }
}
