using Coppice.Weights;

namespace Coppice.Tests.Weights;

public class HalfWeightTests
{
    [Fact]
    public void Every_half_survives()
    {
        ushort[] all = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] values = new float[all.Length];
        HalfConversion.ToSingle(HalfFormat.Float16, all, values);
        for (int i = 0; i < all.Length; i++)
            Assert.Equal((float)BitConverter.UInt16BitsToHalf(all[i]), values[i]);
        ushort[] back = new ushort[all.Length];
        HalfConversion.FromSingle(HalfFormat.Float16, values, back);
        for (int i = 0; i < all.Length; i++)
            if (!float.IsNaN(values[i]))
                Assert.Equal(all[i], back[i]);
    }

    [Fact]
    public void Every_bfloat_survives_and_a_NaN_stays_one()
    {
        ushort[] all = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] values = new float[all.Length];
        HalfConversion.ToSingle(HalfFormat.BFloat16, all, values);
        ushort[] back = new ushort[all.Length];
        HalfConversion.FromSingle(HalfFormat.BFloat16, values, back);
        for (int i = 0; i < all.Length; i++)
        {
            Assert.Equal((uint)all[i] << 16, BitConverter.SingleToUInt32Bits(values[i]));
            if (float.IsNaN(values[i]))
                Assert.Equal(0x7F80, back[i] & 0x7F80 | ((back[i] & 0x7F) == 0 ? 1 : 0));
            else
                Assert.Equal(all[i], back[i]);
        }
    }

    [Theory]
    [InlineData(HalfFormat.Float16, 0x3F800000u, 0x3C00)]      // 1
    [InlineData(HalfFormat.Float16, 0x3F801000u, 0x3C00)]      // 1 + half a step: a tie, to even
    [InlineData(HalfFormat.Float16, 0x3F803000u, 0x3C02)]      // 1 + one and a half steps: a tie, to even
    [InlineData(HalfFormat.Float16, 0x3F801001u, 0x3C01)]      // just above the tie
    [InlineData(HalfFormat.Float16, 0x33000000u, 0x0000)]      // half of the least subnormal
    [InlineData(HalfFormat.Float16, 0x33000001u, 0x0001)]
    [InlineData(HalfFormat.Float16, 0x477FF000u, 0x7C00)]      // 65520 rounds to infinity
    [InlineData(HalfFormat.BFloat16, 0x3F808000u, 0x3F80)]     // a tie, to even
    [InlineData(HalfFormat.BFloat16, 0x3F818000u, 0x3F82)]
    [InlineData(HalfFormat.BFloat16, 0x3F808001u, 0x3F81)]
    [InlineData(HalfFormat.BFloat16, 0xFF7FFFFFu, 0xFF80)]     // the largest float rounds to infinity
    [InlineData(HalfFormat.BFloat16, 0x7F800001u, 0x7FC0)]     // a NaN whose kept bits are all 0
    public void Rounding_is_to_nearest_even(HalfFormat format, uint bits, int wanted)
    {
        // Twenty copies, so that the vector path and its remainder both see it.
        float[] values = [.. Enumerable.Repeat(BitConverter.UInt32BitsToSingle(bits), 20)];
        ushort[] rounded = new ushort[20];
        HalfConversion.FromSingle(format, values, rounded);
        Assert.All(rounded, bit => Assert.Equal(wanted, bit));
    }
}
