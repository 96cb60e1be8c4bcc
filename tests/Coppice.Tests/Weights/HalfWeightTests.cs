using System.Buffers;
using Coppice.Tensors;
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

    [Theory]
    [InlineData(HalfFormat.Float16)]
    [InlineData(HalfFormat.BFloat16)]
    public void A_files_numbers_are_read_for_a_product_and_its_map_is_not_touched(HalfFormat format)
    {
        const int rows = 130, columns = 5;
        float[] values = [.. Enumerable.Range(0, rows * columns).Select(i => (float)(i % 64 - 30))], y = new float[rows];
        ushort[] bits = new ushort[values.Length];
        HalfConversion.FromSingle(format, values, bits);
        using OnlyRead file = new(bits);
        using WorkerPool pool = new(2);
        new HalfWeight(format, rows, columns, file.All).Multiply(pool, new Rows(new float[] { 1, 2, 3, 4, 5 }, 1, columns), new Rows(y, 1, rows));
        for (int row = 0; row < rows; row++)
            Assert.Equal(Enumerable.Range(0, columns).Sum(i => (i + 1) * values[row * columns + i]), y[row]);
    }

    // A file's memory that must not be touched.
    sealed class OnlyRead(ushort[] bits) : MemoryManager<ushort>, IFileMemory<ushort>
    {
        public ReadOnlyMemory<ushort> All => CreateMemory(bits.Length);

        public void Read(int first, Span<ushort> destination) => bits.AsSpan(first, destination.Length).CopyTo(destination);

        public override Span<ushort> GetSpan() => throw new InvalidOperationException("the map was touched");

        public override MemoryHandle Pin(int elementIndex = 0) => throw new InvalidOperationException("the map was touched");

        public override void Unpin() { }

        protected override void Dispose(bool disposing) { }
    }

    [Fact]
    public void Any_float_rounds_as_the_language_rounds_it()
    {
        Random random = new(4);
        // Every exponent and sign, with fractions around what decides: ties, their neighbours, and any.
        float[] values = [.. Enumerable.Range(0, 512).SelectMany(top => new uint[] { 0, 1, 0xFFF, 0x1000, 0x1001, 0x1FFF, 0x2FFF, 0x3000, 0x3001, 0x7FFFFF, (uint)random.Next(1 << 23), (uint)random.Next(1 << 23) }
            .Select(fraction => BitConverter.UInt32BitsToSingle((uint)top << 23 | fraction)))];
        ushort[] halves = new ushort[values.Length];
        HalfConversion.FromSingle(HalfFormat.Float16, values, halves);
        for (int i = 0; i < values.Length; i++)
            if (float.IsNaN(values[i]))
                Assert.True(Half.IsNaN(BitConverter.UInt16BitsToHalf(halves[i])));
            else
                Assert.Equal(BitConverter.HalfToUInt16Bits((Half)values[i]), halves[i]);
        float[] small = [.. values.Where(value => Math.Abs(value) <= 65504)], rounded = new float[small.Length];
        HalfConversion.Round(small, rounded);
        Assert.Equal(small.Select(value => (float)(Half)value), rounded);
    }

    [Fact]
    public void The_first_number_that_is_not_finite_is_found_wherever_it_is()
    {
        for (int length = 0; length < 150; length += 7)
            for (int at = 0; at < length; at++)
            {
                float[] values = new float[length];
                values[at] = float.NaN;
                values[^1] = float.PositiveInfinity;
                ushort[] bits = new ushort[length];
                HalfConversion.FromSingle(HalfFormat.Float16, values, bits);
                Assert.Equal(at, HalfConversion.IndexOfNonFinite(values));
                Assert.Equal(at, HalfConversion.IndexOfNonFinite(HalfFormat.Float16, bits));
                Assert.Equal(-1, HalfConversion.IndexOfNonFinite(values.AsSpan(0, at)));
                Assert.Equal(-1, HalfConversion.IndexOfNonFinite(HalfFormat.Float16, bits.AsSpan(0, at)));
            }
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

    [Theory]
    [InlineData(1, 3)]
    [InlineData(7, 33)]
    [InlineData(300, 7001)]
    public void Zeros_of_either_sign_are_counted(int rows, int columns)
    {
        ushort[] bits = [.. Enumerable.Range(0, rows * columns).Select(i => (ushort)(i % 3 == 0 ? 0 : i % 3 == 1 ? 0x8000 : 0x0001))];
        Assert.Equal((double)bits.Count(b => b is 0 or 0x8000) / bits.Length, new HalfWeight(HalfFormat.Float16, rows, columns, bits).Sparsity());
    }
}
