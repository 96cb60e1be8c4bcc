using Coppice.Compression.Prune;
using Coppice.Tensors;

namespace Coppice.Tests.Compression.Prune;

public class AllocationTests
{
    [Fact]
    public void Uniform_is_the_same_share_to_a_whole_weight()
    {
        // A third of 3, 5 and 4 is 1, 1.67 and 1.33: 4 of 12 go.
        Assert.Equal([1 / 3.0, 2 / 5.0, 1 / 4.0], Allocation.Uniform([3, 5, 4], 1 / 3.0));
        Assert.Equal([0, 0], Allocation.Uniform([3, 5], 0));
        Assert.Equal([1, 1], Allocation.Uniform([3, 5], 1));
    }

    [Fact]
    public void Global_takes_the_lowest_of_all_scores_over_their_matrixs_mean()
    {
        // Means 2.5 and 50: 0.4, 0.8, 1.2, 1.6 and 0.2, 1.8. The three lowest are 0.2, 0.4 and 0.8.
        Assert.Equal([2 / 4.0, 1 / 2.0], Allocation.Global([[1, 2, 3, 4], [10, 90]], 0.5));
    }

    [Fact]
    public void Global_drops_the_first_of_equal_scores_and_takes_zeros_as_they_are()
    {
        Assert.Equal([1, 0.5], Allocation.Global([[7, 7], [3, 3]], 0.75));
        Assert.Equal([0, 0.5], Allocation.Global([[7, 7], [0, 0]], 0.25));
        Assert.Equal([0, 0], Allocation.Global([[7, 7], [0, 0]], 0));
    }

    [Fact]
    public void Outliers_are_what_is_more_than_five_times_the_mean()
    {
        // The mean of nine ones and a 91 is 10.
        Assert.Equal(0.1, Allocation.OutlierRatio([1, 1, 1, 1, 1, 1, 1, 1, 1, 91]));
        Assert.Equal(0, Allocation.OutlierRatio([1, 1, 1, 1, 1, 1, 1, 1, 1, 91], times: 10));
        Assert.Equal(0, Allocation.OutlierRatio([0, 0]));
    }

    [Fact]
    public void Matrices_with_more_outliers_keep_more()
    {
        // Ratios 0, 1, 4 of 4 become 0, 0.04, 0.16 more kept; less their mean of 0.2 / 3, so that kept shares are 0.3 + (-0.0667, -0.0267, 0.0933).
        double[] shares = Allocation.OutlierWeighted([3000, 3000, 3000], [0, 0.01, 0.04], 0.7);
        Assert.Equal([2300 / 3000.0, 2180 / 3000.0, 1820 / 3000.0], shares);
    }

    [Fact]
    public void Outliers_count_by_the_size_of_their_matrix()
    {
        // 0.16 more kept of the second: 1000 (s + 0.16) + 3000 s = 2000 gives s = 0.46.
        Assert.Equal([0.62, 0.46], Allocation.OutlierWeighted([1000, 3000], [0, 0.02], 0.5));
        Assert.Equal([0.5, 0.5], Allocation.OutlierWeighted([1000, 3000], [0.02, 0.02], 0.5));
    }

    [Fact]
    public void A_share_that_would_leave_0_to_1_is_made_up_for_by_the_others()
    {
        // 0.02 of all: with 0.16 between them only the first can give any.
        Assert.Equal([0.04, 0], Allocation.OutlierWeighted([100, 100], [0, 0.5], 0.02));
        Assert.Equal([1, 0.96], Allocation.OutlierWeighted([100, 100], [0, 0.5], 0.98));
    }

    [Fact]
    public void The_cheapest_weights_go_first()
    {
        // Errors a weight: of the first 0.01 up to its half, then 0.1; of the second 0.04. 100 of 200 go: 50 and 50.
        (double, double)[] first = [(0, 0), (0.5, 0.5), (1, 5.5)], second = [(0, 0), (1, 4)];
        Assert.Equal([0.5, 0.5], Allocation.Sensitivity([100, 100], [first, second], 0.5));
        Assert.Equal([0.2, 0], Allocation.Sensitivity([100, 100], [first, second], 0.1));
        Assert.Equal([0.6, 1], Allocation.Sensitivity([100, 100], [first, second], 0.8));
    }

    [Fact]
    public void A_curve_that_bulges_counts_by_its_hull()
    {
        // The first costs 0.9 at a half, 1 for all of it: all is cheaper than half of it twice, and 0.01 a weight, below the second's 0.015.
        Assert.Equal([1, 0], Allocation.Sensitivity([100, 100], [[(0, 0), (0.5, 0.9), (1, 1)], [(0, 0), (1, 1.5)]], 0.5));
    }

    [Fact]
    public void Shares_add_up_to_the_whole_weight_and_turn_into_the_same_counts_again()
    {
        Random random = new(7);
        for (int trial = 0; trial < 200; trial++)
        {
            int[] sizes = [.. Enumerable.Range(0, random.Next(1, 9)).Select(_ => random.Next(1, 5000))];
            double sparsity = random.NextDouble();
            double[] ratios = [.. sizes.Select(_ => random.NextDouble() / 10)];
            (double, double)[][] curves = [.. sizes.Select(_ => ((double, double)[])[(0, 0), (0.4, random.NextDouble()), (0.7, 1 + random.NextDouble()), (1, 2 + random.NextDouble())])];
            float[][] scores = [.. sizes.Select(size => Samples.Gaussian(size, random.Next()).Select(Math.Abs).ToArray())];
            long wanted = (long)Math.Round(sizes.Sum(size => (long)size) * sparsity, MidpointRounding.ToEven);
            foreach (double[] shares in (double[][])[Allocation.Uniform(sizes, sparsity), Allocation.Global(scores, sparsity), Allocation.OutlierWeighted(sizes, ratios, sparsity), Allocation.Sensitivity(sizes, curves, sparsity)])
            {
                Assert.All(shares, share => Assert.InRange(share, 0, 1));
                Assert.Equal(wanted, sizes.Zip(shares, (size, share) => (long)Pruning.CountOf(size, share)).Sum());
            }
        }
    }

    [Theory]
    [InlineData(0.9, 0.8, "takes 20 weights more than the error curves reach")]
    [InlineData(1.5, 1, "a sparsity of 1.5, wanted 0 to 1")]
    [InlineData(double.NaN, 1, "a sparsity of NaN, wanted 0 to 1")]
    public void What_cannot_be_met_is_an_error(double sparsity, double reach, string message) =>
        Assert.Contains(message, Assert.Throws<CoppiceException>(() => Allocation.Sensitivity([100, 100], [[(0, 0), (reach, 1)], [(0, 0), (reach, 1)]], sparsity)).Message);

    [Fact]
    public void A_curve_that_does_not_start_at_0_or_does_not_rise_is_an_error()
    {
        Assert.Contains("matrix 0 does not go from share 0", Fails([(0.1, 0), (1, 1)]));
        Assert.Contains("wanted rising shares", Fails([(0, 0), (0.5, 1), (0.5, 2)]));
        Assert.Contains("wanted rising shares and finite errors", Fails([(0, 0), (0.5, double.NaN)]));

        static string Fails((double, double)[] curve) => Assert.Throws<CoppiceException>(() => Allocation.Sensitivity([10], [curve], 0.5)).Message;
    }
}
