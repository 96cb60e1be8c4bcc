using Coppice.Compression;
using Coppice.Compression.Quantize;

namespace Coppice.Tests.Compression.Quantize;

public class HqqTests
{
    [Fact]
    public void Shrinking_takes_a_power_of_the_error_off_it()
    {
        HalfQuadratic solver = new(norm: 0.5f, rounds: 1);
        // 4 - 4^-0.5 / 2 = 3.75; 0.25 - 0.25^-0.5 / 2 is below 0.
        Assert.Equal(3.75f, solver.Shrink(4, 2), 1e-6f);
        Assert.Equal(-3.75f, solver.Shrink(-4, 2), 1e-6f);
        Assert.Equal(0, solver.Shrink(0.25f, 2));
        Assert.Equal(0, solver.Shrink(0, 2));
    }

    [Theory]
    [InlineData(2), InlineData(3), InlineData(4), InlineData(8)]
    public void The_norm_is_never_above_that_of_rounding_to_nearest(int bits)
    {
        float[] weights = Samples.Gaussian(8 * 64, 40 + bits);
        LayerWork plain = Samples.Work(weights, 64), work = Samples.Work(weights, 64);
        new RoundToNearest { Bits = bits, GroupSize = 16, Symmetric = false }.Apply(plain);
        new Hqq { Bits = bits, GroupSize = 16 }.Apply(work);
        double all = 0, allPlain = 0;
        for (int group = 0; group < weights.Length / 16; group++)
        {
            double error = Norm(work.Grid!.ToDense(), group), floor = Norm(plain.Grid!.ToDense(), group);
            Assert.True(error <= floor * (1 + 1e-5), $"group {group}: {error}, to nearest {floor}");
            (all, allPlain) = (all + error, allPlain + floor);
        }
        Assert.True(all < 0.99 * allPlain);
        Assert.Equal($"int{bits}-g16-asym", Packing.Pack(work).Kind);

        double Norm(float[] stored, int group) => Enumerable.Range(group * 16, 16).Sum(i => Math.Pow(Math.Abs(stored[i] - weights[i]), 0.7));
    }

    [Fact]
    public void An_outlier_gives_way_to_the_many()
    {
        // 0, 1, 2, 3 fit 2 bits exactly, but for 3.6: plain rounding spreads its scale to 1.2 and misses all but 0.
        float[] weights = [0, 1, 2, 1, 2, 1, 0, 3.6f];
        LayerWork work = Samples.Work(weights, 8);
        new Hqq { Bits = 2, GroupSize = 8 }.Apply(work);
        Assert.InRange((float)work.Grid!.Scales[0], 0.97f, 1.06f);
    }

    [Fact]
    public void Zeros_stay_zero()
    {
        LayerWork work = Samples.Work(new float[8], 8);
        new Hqq { GroupSize = 4 }.Apply(work);
        Assert.All(work.Grid!.ToDense(), value => Assert.Equal(0, value));
    }
}
