using Coppice.Federation.Privacy;
using Coppice.Federation.Secure;

namespace Coppice.Tests.Federation.Privacy;

public class DiscreteGaussianTests
{
    [Theory]
    [InlineData(1, 8)]
    [InlineData(3, 15)]
    [InlineData(100, 80)]
    public void Numbers_come_as_often_as_they_should(long variance, int reach)
    {
        const int draws = 100_000;
        using AesCtr bits = new([.. Enumerable.Repeat((byte)variance, 32)]);
        DiscreteGaussian noise = new(variance, bits);
        Dictionary<long, int> counts = [];
        for (int i = 0; i < draws; i++)
        {
            long drawn = noise.Next();
            counts[drawn] = counts.GetValueOrDefault(drawn) + 1;
        }
        double[] weights = Weights(variance, reach);
        double all = weights.Sum(), chi = 0;
        int cells = 0;
        for (int x = -reach; x <= reach; x++)
        {
            double expected = draws * weights[x + reach] / all;
            if (expected < 10)
                continue;
            chi += Math.Pow(counts.GetValueOrDefault(x) - expected, 2) / expected;
            cells++;
        }
        // The sum over cells has a mean of their number less 1, and twice that for variance.
        Assert.InRange(chi, cells - 5 * Math.Sqrt(2 * cells), cells + 5 * Math.Sqrt(2 * cells));
        Assert.InRange(counts.Keys.Max(Math.Abs), 2 * Math.Sqrt(variance), reach);
    }

    [Theory]
    [InlineData(1L << 20)]
    [InlineData(DiscreteGaussian.LargestVariance)]
    public void Large_variances_are_kept(long variance)
    {
        const int draws = 20_000;
        using AesCtr bits = new(new byte[32]);
        DiscreteGaussian noise = new(variance, bits);
        (double sum, double squares) = (0, 0);
        for (int i = 0; i < draws; i++)
        {
            double drawn = noise.Next() / Math.Sqrt(variance);
            sum += drawn;
            squares += drawn * drawn;
        }
        Assert.InRange(sum / draws, -5 / Math.Sqrt(draws), 5 / Math.Sqrt(draws));
        Assert.InRange(squares / draws, 1 - 5 * Math.Sqrt(2.0 / draws), 1 + 5 * Math.Sqrt(2.0 / draws));
    }

    [Theory]
    [InlineData(1, 2, 1)]
    [InlineData(1, 5, 2)]
    [InlineData(2, 3, 4)]
    [InlineData(9, 8, 7)]
    public void No_shift_of_a_sum_is_told_better_than_the_charge_says(long variance, int clients, int shift)
    {
        // The sum's probabilities by adding up clients one after the other, and the Renyi divergence of a shift of them: nothing in common with the bound.
        int reach = (int)(14 * Math.Sqrt(variance * clients));
        double[] one = Weights(variance, reach), sum = [.. one];
        for (int client = 1; client < clients; client++)
            sum = [.. Enumerable.Range(0, sum.Length).Select(x => Enumerable.Range(Math.Max(0, x - reach), Math.Min(sum.Length - 1, x + reach) - Math.Max(0, x - reach) + 1).Sum(y => sum[y] * one[x - y + reach]))];
        double all = sum.Sum(), charged = DistributedNoise.Equivalent(shift * shift, variance, clients, 1, clients);
        foreach (int order in new[] { 2, 3, 6 })
        {
            double moment = 0;
            for (int x = shift; x < sum.Length; x++)
                if (sum[x] > 1e-280 && sum[x - shift] > 1e-280)
                    moment += Math.Exp(order * Math.Log(sum[x - shift] / all) - (order - 1) * Math.Log(sum[x] / all));
            double divergence = Math.Log(moment) / (order - 1), bound = RenyiAccountant.Divergence(1, charged, order);
            Assert.InRange(divergence / bound, 0.9, 1 + 1e-6);
        }
    }

    static double[] Weights(long variance, int reach) => [.. Enumerable.Range(-reach, 2 * reach + 1).Select(x => Math.Exp(-(double)x * x / (2 * variance)))];
}
