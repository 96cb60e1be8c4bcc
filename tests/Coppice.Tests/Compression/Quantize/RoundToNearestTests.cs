using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Quantize;

public class RoundToNearestTests
{
    [Fact]
    public void A_symmetric_grid_spans_the_largest_magnitude_around_zero()
    {
        // 3 bits: scale 2 * 7 / 7 = 2, codes 0 to 7 around 4. Row 1: scale 2 * 1.75 / 7 = 0.5; 1.75 / 0.5 = 3.5 rounds to 4, past the top.
        Grid grid = Round([-7, 2, 2.9f, 0, 1.75f, -0.75f, 0.4f, -1], 4, new RoundToNearest { Bits = 3, GroupSize = -1 });
        Assert.Equal([(Half)2, (Half)0.5], grid.Scales);
        Assert.Equal([4, 4], grid.Zeros);
        // -3.5 rounds to the even -4; 1.45 to 1; -1.5 to the even -2.
        Assert.Equal([0, 5, 5, 4, 7, 2, 5, 2], grid.Codes);
        Assert.Equal([-8, 2, 2, 0, 1.5f, -1, 0.5f, -1], grid.ToDense());
    }

    [Fact]
    public void An_asymmetric_grid_spans_the_range_and_holds_zero_exactly()
    {
        // 2 bits: -1 to 2 over 3 steps is a scale of 1 and a zero of 1. Row 1 is all positive: its range starts at 0.
        Grid grid = Round([-1, 2, 0.4f, 0, 3, 6, 4.6f, 1.4f], 4, new RoundToNearest { Bits = 2, GroupSize = -1, Symmetric = false });
        Assert.Equal([(Half)1, (Half)2], grid.Scales);
        Assert.Equal([1, 0], grid.Zeros);
        Assert.Equal([-1, 2, 0, 0, 4, 6, 4, 2], grid.ToDense());
    }

    [Fact]
    public void Each_group_has_its_own_scale()
    {
        Grid grid = Round([7.5f, 1, 0.75f, 0.1f], 4, new RoundToNearest { Bits = 4, GroupSize = 2 });
        Assert.Equal([(Half)1, (Half)0.1f], grid.Scales);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_group_of_zeros_stays_zero(bool symmetric) =>
        Assert.All(Round(new float[8], 8, new RoundToNearest { Symmetric = symmetric, GroupSize = 4 }).ToDense(), value => Assert.Equal(0, value));

    [Theory]
    [InlineData(2, true)]
    [InlineData(3, false)]
    [InlineData(4, true)]
    [InlineData(5, false)]
    [InlineData(6, true)]
    [InlineData(7, false)]
    [InlineData(8, true)]
    [InlineData(8, false)]
    public void No_code_of_the_grid_is_nearer_and_what_is_stored_is_what_was_computed(int bits, bool symmetric)
    {
        float[] weights = Samples.Gaussian(4 * 64, bits);
        LayerWork work = Samples.Work(weights, 64);
        new RoundToNearest { Bits = bits, GroupSize = 16, Symmetric = symmetric }.Apply(work);
        Grid grid = work.Grid!;
        float[] stored = grid.ToDense();
        for (int i = 0; i < weights.Length; i++)
        {
            int group = i / 16;
            double best = Enumerable.Range(0, 1 << bits).Min(code => Math.Abs((code - grid.Zeros[group]) * (double)grid.Scales[group] - weights[i]));
            Assert.Equal(best, Math.Abs(stored[i] - weights[i]), 1e-6);
        }
        Weight packed = Packing.Pack(work);
        Assert.Equal($"int{bits}-g16{(symmetric ? "" : "-asym")}", packed.Kind);
        Assert.Equal(stored, packed.ToDense());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_was_pruned_stays_exactly_zero_and_does_not_widen_the_range(bool symmetric)
    {
        LayerWork work = Samples.Work([100, 1, -0.5f, 0.25f], 4);
        work.Mask = [false, true, true, true];
        new RoundToNearest { GroupSize = -1, Symmetric = symmetric }.Apply(work);
        Assert.Equal(0, work.Grid!.ToDense()[0]);
        Assert.Equal(1, work.Grid.ToDense()[1], 0.08);
    }

    [Fact]
    public void A_scale_too_large_for_a_half_clips_instead_of_becoming_infinite() =>
        Assert.All(Round([1e6f, -1e6f, 0, 1], 4, new RoundToNearest { Bits = 2, GroupSize = -1 }).ToDense(), value => Assert.True(float.IsFinite(value)));

    static Grid Round(float[] weights, int columns, RoundToNearest step)
    {
        LayerWork work = Samples.Work(weights, columns);
        step.Apply(work);
        return work.Grid!;
    }
}
