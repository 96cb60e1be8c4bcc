using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Weights;

public class SparseWeightTests
{
    [Fact]
    public void A_hand_computed_mask_is_in_little_bit_order()
    {
        SparseWeight weight = SparseWeight.From(2, 10, [1, 0, 2, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0]);
        Assert.Equal([0x85, 0x02, 0x00, 0x01], weight.Mask.ToArray());
        Assert.Equal([(Half)1, (Half)2, (Half)3, (Half)4, (Half)5], weight.Kept.ToArray());
        Assert.Equal([0, 4, 5], weight.RowStarts.ToArray());
        Assert.Equal(4 + 2 * 5 + 8 * 2, weight.ByteCount);
    }

    [Fact]
    public void Unpacking_gives_the_numbers_rounded_to_half()
    {
        foreach (int columns in new[] { 1, 7, 8, 9, 64, 131 })
        {
            float[] dense = Pruned(5, columns, share: 0.6);
            Assert.Equal(dense.Select(value => (float)(Half)value), SparseWeight.From(5, columns, dense).ToDense());
        }
    }

    [Fact]
    public void Two_of_four_stores_half_and_nine_bits_a_weight()
    {
        TwoFourWeight weight = TwoFourWeight.From(1, 8, [0, 1, 0, 2, 3, 0, 0, 0]);
        Assert.Equal([0b0011_1010], weight.Mask.ToArray());
        Assert.Equal([(Half)1, (Half)2, (Half)3, (Half)0], weight.Kept.ToArray());
        Assert.Equal([0, 1, 0, 2, 3, 0, 0, 0], weight.ToDense());
        Assert.Equal(9, weight.BitsPerWeight);
        Assert.Equal("2:4-f16", weight.Kind);
    }

    [Fact]
    public void Three_of_four_is_refused_by_place()
    {
        CoppiceException error = Assert.Throws<CoppiceException>(() => TwoFourWeight.From(2, 4, [1, 2, 0, 0, 1, 2, 3, 0]));
        Assert.Equal("2:4: row 1 has more than two numbers that are not zero in columns 0 to 3", error.Message);
        Assert.Throws<CoppiceException>(() => TwoFourWeight.From(1, 6, new float[6]));
    }

    [Fact]
    public void Two_of_four_integers_unpack_where_the_mask_says()
    {
        float[] pruned = [0, 1, 0, 2, 3, 0, 0, 4, 0, 0, 5, 6];
        byte[] codes = [8, 1, 8, 2, 3, 8, 8, 4, 8, 8, 5, 15];
        TwoFourIntWeight weight = TwoFourIntWeight.From(4, 8, 1, 12, pruned, codes, [(Half)1f, (Half)0.5f], []);
        Assert.Equal([0, -7, 0, -6, -5, 0, 0, -4, 0, 0, -1.5f, 3.5f], weight.ToDense());
        Assert.Equal("2:4-int4-g8", weight.Kind);
    }

    [Fact]
    public void A_number_too_large_for_half_is_refused()
    {
        Assert.Contains("70000", Assert.Throws<CoppiceException>(() => SparseWeight.From(1, 2, [0, 70000])).Message, StringComparison.Ordinal);
        Assert.Contains("70000", Assert.Throws<CoppiceException>(() => HalfWeight.From(HalfFormat.Float16, 1, 2, [0, 70000])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_mask_that_does_not_fit_is_refused()
    {
        Assert.Throws<ArgumentException>(() => new SparseWeight(1, 7, [0x80], [(Half)1]));
        Assert.Throws<ArgumentException>(() => new SparseWeight(1, 8, [0x80], []));
        Assert.Throws<ArgumentException>(() => new TwoFourWeight(1, 8, [0b0111_0001], new Half[4]));
        Assert.Throws<ArgumentException>(() => new TwoFourWeight(1, 4, [0b0011_0011], new Half[2]));
    }

    static float[] Pruned(int rows, int columns, double share)
    {
        Random random = new(columns);
        return [.. Enumerable.Range(0, rows * columns).Select(_ => random.NextDouble() < share ? 0f : random.NextSingle() - 0.5f)];
    }
}
