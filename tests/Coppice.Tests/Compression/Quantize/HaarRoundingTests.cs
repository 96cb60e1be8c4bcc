using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Quantize;

public class HaarRoundingTests
{
    [Fact]
    public void A_run_becomes_its_sum_and_differences_from_coarse_to_fine()
    {
        // 1, 3, 5, 7: sums 4 and 12 and differences -2 and -2 over sqrt 2; of the sums 16 / 2 and -8 / 2.
        float[] values = [1, 3, 5, 7, 2, 2, 2, 2];
        Haar.Forward(values, 4, new float[4]);
        float[] wanted = [8, -4, -1.4142135f, -1.4142135f, 4, 0, 0, 0];
        Assert.All(values.Zip(wanted), pair => Assert.Equal(pair.Second, pair.First, 1e-5f));
        Haar.Inverse(values, 4, new float[4]);
        Assert.All(values.Zip([1, 3, 5, 7, 2, 2, 2, 2f]), pair => Assert.Equal(pair.Second, pair.First, 1e-5f));
    }

    [Fact]
    public void Errors_are_those_of_the_coefficients()
    {
        float[] weights = Samples.Gaussian(6 * 64, 3), coefficients = [.. weights];
        Haar.Forward(coefficients, 32, new float[32]);
        LayerWork work = Samples.Work(weights, 64), plain = Samples.Work(coefficients, 64);
        new HaarRounding { Length = 32, GroupSize = 16, Bits = 3 }.Apply(work);
        new RoundToNearest { GroupSize = 16, Bits = 3 }.Apply(plain);
        Weight packed = Packing.Pack(work);
        Assert.Equal("haar32-int3-g16", packed.Kind);
        Assert.Equal(Miss(coefficients, plain.Grid!.ToDense()), Miss(weights, packed.ToDense()), 0.001 * Miss(weights, packed.ToDense()));
    }

    [Fact]
    public void Neighbours_that_are_alike_take_one_coefficient()
    {
        // Each run of 4 is one number: its sum, twice that, is all that is not 0.
        float[] weights = [3.75f, 3.75f, 3.75f, 3.75f, -7.5f, -7.5f, -7.5f, -7.5f];
        LayerWork work = Samples.Work(weights, 8);
        new HaarRounding { Length = 4, GroupSize = 4, Symmetric = false }.Apply(work);
        Assert.Equal(6, work.Grid!.ToDense().Count(value => value == 0));
        Assert.All(Packing.Pack(work).ToDense().Zip(weights), pair => Assert.Equal(pair.Second, pair.First, 1e-4f));
    }

    [Fact]
    public void What_was_pruned_and_what_runs_do_not_divide_is_refused()
    {
        LayerWork work = Samples.Work(new float[8], 8);
        work.Mask = new bool[8];
        Assert.Contains("would not stay 0 in wavelets", Assert.Throws<CoppiceException>(() => new HaarRounding { Length = 8, GroupSize = 8 }.Apply(work)).Message, StringComparison.Ordinal);
        Assert.Equal("length 32 does not divide its 48 inputs", new HaarRounding { GroupSize = 16 }.Refuses(4, 48));
    }

    static double Miss(float[] weights, float[] stored) => weights.Zip(stored, (w, q) => ((double)w - q) * (w - q)).Sum();
}
