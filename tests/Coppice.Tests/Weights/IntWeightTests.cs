using Coppice.Weights;

namespace Coppice.Tests.Weights;

public class IntWeightTests
{
    [Fact]
    public void A_hand_computed_case_is_code_minus_zero_times_scale()
    {
        IntWeight weight = new(4, 2, 1, 4, [0, 15, 8, 9], [(Half)0.5f, (Half)2f], []);
        Assert.Equal([-4f, 3.5f, 0f, 2f], weight.ToDense());
        IntWeight asymmetric = new(4, 2, 1, 4, [0, 15, 8, 9], [(Half)0.5f, (Half)2f], [1, 10]);
        Assert.Equal([-0.5f, 7f, -4f, -2f], asymmetric.ToDense());
    }

    [Theory]
    [InlineData(2), InlineData(3), InlineData(4), InlineData(5), InlineData(6), InlineData(7), InlineData(8)]
    public void Every_width_and_ragged_shape_unpacks(int bits)
    {
        foreach ((int columns, int group) in new[] { (1, 32), (33, 32), (515, 8), (1100, 512), (96, IntWeight.WholeRow), (600, 7) })
        {
            Random random = new(columns);
            int groups = group == IntWeight.WholeRow ? 1 : (columns + group - 1) / group, length = group == IntWeight.WholeRow ? columns : group;
            byte[] codes = [.. Enumerable.Range(0, 3 * columns).Select(_ => (byte)random.Next(1 << bits))];
            byte[] zeros = [.. Enumerable.Range(0, 3 * groups).Select(_ => (byte)random.Next(1 << bits))];
            Half[] scales = [.. Enumerable.Range(0, 3 * groups).Select(_ => (Half)random.NextSingle())];
            IntWeight weight = new(bits, group, 3, columns, codes, scales, zeros);
            float[] dense = weight.ToDense();
            for (int i = 0; i < dense.Length; i++)
            {
                int at = i / columns * groups + i % columns / length;
                Assert.Equal((codes[i] - zeros[at]) * (float)scales[at], dense[i]);
            }
            byte[] back = new byte[codes.Length];
            weight.UnpackCodes(0, back);
            Assert.Equal(codes, back);
            float[] middle = new float[columns];
            weight.Unpack(1, middle);
            Assert.Equal(dense[columns..(2 * columns)], middle);
        }
    }

    [Fact]
    public void Bytes_count_codes_scales_and_zeros()
    {
        byte[] codes = new byte[64 * 64];
        Half[] scales = new Half[128];
        Assert.Equal(64 * 64 / 2 + 2 * 128, new IntWeight(4, 32, 64, 64, codes, scales, []).ByteCount);
        Assert.Equal(4.5, new IntWeight(4, 32, 64, 64, codes, scales, []).BitsPerWeight);
        Assert.Equal(64 * 64 / 2 + 2 * 128 + 64, new IntWeight(4, 32, 64, 64, codes, scales, new byte[128]).ByteCount);
    }

    [Fact]
    public void Kinds_say_bits_groups_and_zero_points()
    {
        Assert.Equal("int4-g32", new IntWeight(4, 32, 1, 64, new byte[64], new Half[2], []).Kind);
        Assert.Equal("int4-g32-asym", new IntWeight(4, 32, 1, 64, new byte[64], new Half[2], new byte[2]).Kind);
        Assert.Equal("int8-channel", new IntWeight(8, IntWeight.WholeRow, 1, 64, new byte[64], new Half[1], []).Kind);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        Assert.Throws<ArgumentException>(() => new IntWeight(4, 32, 1, 32, [.. Enumerable.Repeat((byte)16, 32)], new Half[1], []));
        Assert.Throws<ArgumentException>(() => new IntWeight(4, 32, 1, 32, new byte[32], new Half[1], [16]));
        Assert.Throws<ArgumentException>(() => new IntWeight(4, 32, 1, 32, new byte[31], new Half[1], []));
        Assert.Throws<ArgumentException>(() => new IntWeight(4, 32, 1, 33, new byte[33], new Half[1], []));
        Assert.Throws<ArgumentOutOfRangeException>(() => new IntWeight(9, 32, 1, 32, new byte[32], new Half[1], []));
        Assert.Throws<ArgumentOutOfRangeException>(() => new IntWeight(4, 0, 1, 32, new byte[32], new Half[1], []));
    }
}
