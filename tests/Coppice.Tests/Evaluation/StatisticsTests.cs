using Coppice.Evaluation;

namespace Coppice.Tests.Evaluation;

public sealed class StatisticsTests
{
    [Fact]
    public void Ratio_and_its_error_are_those_computed_by_hand()
    {
        // R = 12 / 6 = 2; residuals 3 - 2 * 1 = 1, 4 - 2 * 2 = 0, 5 - 2 * 3 = -1; sqrt(3 / 2 * 2) / 6
        Estimate estimate = Statistics.Ratio([3, 4, 5], [1, 2, 3]);
        Assert.Equal(2, estimate.Value, 1e-15);
        Assert.Equal(Math.Sqrt(3) / 6, estimate.StandardError, 1e-15);
        Assert.Equal(3, estimate.Clusters);
    }

    [Fact]
    public void Clusters_of_one_give_the_plain_error_of_a_mean()
    {
        // mean 3, sample variance (4 + 1 + 0 + 1 + 4) / 4 = 2.5, error sqrt(2.5 / 5)
        Estimate estimate = Statistics.ClusteredMean([1, 2, 3, 4, 5], [10, 11, 12, 13, 14]);
        Assert.Equal(3, estimate.Value, 1e-15);
        Assert.Equal(Math.Sqrt(0.5), estimate.StandardError, 1e-15);
    }

    [Fact]
    public void Copies_within_a_cluster_do_not_make_the_error_smaller()
    {
        Estimate once = Statistics.ClusteredMean([1, 2, 6], [0, 1, 2]);
        Estimate fourfold = Statistics.ClusteredMean([1, 1, 1, 1, 2, 2, 2, 2, 6, 6, 6, 6], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
        Assert.Equal(once.StandardError, fourfold.StandardError, 1e-12);
    }

    [Fact]
    public void One_cluster_has_no_error_and_no_bounds()
    {
        Estimate estimate = Statistics.Ratio([3], [2]);
        Assert.True(double.IsNaN(estimate.StandardError));
        Assert.Equal(new Interval(double.NegativeInfinity, double.PositiveInfinity), Statistics.Interval95(estimate));
    }

    [Fact]
    public void The_interval_uses_students_t()
    {
        // t(0.975) with 4 degrees of freedom is 2.7764451
        Interval interval = Statistics.Interval95(new Estimate(10, 2, 5));
        Assert.Equal(10 - 2 * 2.7764451, interval.Low, 1e-6);
        Assert.Equal(10 + 2 * 2.7764451, interval.High, 1e-6);
        Assert.True(interval.Contains(10) && !interval.Contains(3));
    }

    [Fact]
    public void Percentiles_interpolate_between_neighbours()
    {
        double[] values = [1, 2, 4, 8];
        Assert.Equal([1, 2.5, 3, 6.8, 8], new[] { 0.0, 41.66666666666667, 50, 90, 100 }.Select(p => Math.Round(Statistics.Percentile(values, p), 6)));
    }

    [Fact]
    public void The_clustered_error_is_that_of_a_bootstrap_over_documents()
    {
        Random random = new(3);
        double[] sizes = new double[200], totals = new double[200];
        for (int c = 0; c < sizes.Length; c++)
        {
            sizes[c] = 5 + random.Next(60);
            double level = 2 + random.NextDouble();
            for (int i = 0; i < sizes[c]; i++)
                totals[c] += level + random.NextDouble() - 0.5;
        }

        double[] ratios = new double[4000];
        for (int draw = 0; draw < ratios.Length; draw++)
        {
            double total = 0, size = 0;
            for (int c = 0; c < sizes.Length; c++)
            {
                int picked = random.Next(sizes.Length);
                (total, size) = (total + totals[picked], size + sizes[picked]);
            }
            ratios[draw] = total / size;
        }
        double mean = ratios.Average(), deviation = Math.Sqrt(ratios.Sum(ratio => (ratio - mean) * (ratio - mean)) / (ratios.Length - 1));
        Assert.InRange(Statistics.Ratio(totals, sizes).StandardError / deviation, 0.95, 1.05);
    }

    [Fact]
    public void The_paired_error_has_the_variance_of_both_less_twice_their_covariance()
    {
        double[] sizes = [4, 4, 4, 4, 4], before = [3, 9, 6, 7, 5], after = [4, 11, 6, 9, 5];
        double VarianceOfMean(Func<int, double> x, Func<int, double> y)
        {
            double mx = Enumerable.Range(0, 5).Average(x), my = Enumerable.Range(0, 5).Average(y);
            return Enumerable.Range(0, 5).Sum(i => (x(i) - mx) * (y(i) - my)) / 4 / 5;
        }
        double b(int i) => before[i] / 4;
        double a(int i) => after[i] / 4;
        double wanted = VarianceOfMean(a, a) + VarianceOfMean(b, b) - 2 * VarianceOfMean(a, b);
        Estimate delta = Statistics.Ratio([.. after.Zip(before, (x, y) => x - y)], sizes);
        Assert.Equal(Math.Sqrt(wanted), delta.StandardError, 1e-12);
    }
}
