using Coppice.Compression;
using Coppice.Compression.Quantize;

namespace Coppice.Tests.Compression.Quantize;

public class ClippedRangeTests
{
    [Fact]
    public void A_percentile_is_the_magnitude_of_the_nearest_rank()
    {
        float[] values = [.. Enumerable.Range(1, 10).Select(i => i % 2 == 0 ? i : -(float)i), 0, 0];
        Assert.Equal(9, ClippedRange.Percentile(values, 90));
        Assert.Equal(10, ClippedRange.Percentile(values, 99.9));
        Assert.Equal(5, ClippedRange.Percentile(values, 50));
        Assert.Equal(0, ClippedRange.Percentile([0, 0], 50));
    }

    [Fact]
    public void A_row_is_clipped_at_its_percentile()
    {
        // 19 numbers of at most 7.5 and one of 100: 95 % end at 7.5, which 4 bits around 0 cut into scales of 1.
        float[] weights = [.. Enumerable.Range(0, 19).Select(i => i % 2 == 0 ? 7.5f : -7.5f), 100];
        LayerWork work = Samples.Work(weights, 20);
        new RoundToNearest { GroupSize = -1, Range = RangeFit.Percentile, Percentile = 95 }.Apply(work);
        Assert.Equal((Half)1, work.Grid!.Scales[0]);
        Assert.Equal(7, work.Grid.ToDense()[19]);
    }

    [Fact]
    public void Entropy_keeps_a_range_that_is_full_to_its_end_and_gives_up_a_lone_outlier()
    {
        float[] even = [.. Enumerable.Range(1, 4096).Select(i => i / 4096f)];
        Assert.Equal(1, ClippedRange.Entropy(even, magnitude => (int)MathF.Round(magnitude * 127)), 0.02f);
        float[] tailed = [.. Samples.Gaussian(8192, 3), 40];
        Assert.InRange(ClippedRange.Entropy(tailed, magnitude => (int)MathF.Round(magnitude * 127)), 2, 20);
    }
}
