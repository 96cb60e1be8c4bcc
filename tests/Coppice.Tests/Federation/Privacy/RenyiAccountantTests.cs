using Coppice.Federation.Privacy;

namespace Coppice.Tests.Federation.Privacy;

public class RenyiAccountantTests
{
    [Theory]
    [InlineData(RenyiConversion.Tight, 1.035)]
    [InlineData(RenyiConversion.Classic, 1.259)]
    public void Ten_thousand_rounds_cost_what_others_found(RenyiConversion conversion, double epsilon) =>
        Assert.InRange(RenyiAccountant.Epsilon([(0.01, 4, 10_000)], 1e-5, conversion) / epsilon, 0.995, 1.005);

    [Theory]
    [InlineData(0.01, 4)]
    [InlineData(0.1, 1)]
    [InlineData(0.5, 2)]
    [InlineData(0.02, 0.8)]
    public void The_formula_is_the_integral(double q, double z)
    {
        // D_a = 1 / (a - 1) log E over N(0, z^2) of ((1 - q) + q p(x - 1) / p(x))^a, by the trapezoid rule, which shares nothing with the sum.
        foreach (int order in new[] { 2, 3, 5, 8, 16 })
        {
            const int steps = 400_000;
            double low = -20 * z, high = order + 20 * z, width = (high - low) / steps, sum = 0;
            for (int i = 0; i <= steps; i++)
            {
                double x = low + i * width, ratio = 1 - q + q * Math.Exp((2 * x - 1) / (2 * z * z));
                sum += Math.Exp(-x * x / (2 * z * z) + order * Math.Log(ratio));
            }
            double divergence = Math.Log(sum * width / (z * Math.Sqrt(2 * Math.PI))) / (order - 1);
            Assert.Equal(1, RenyiAccountant.Divergence(q, z, order) / divergence, 1e-6);
        }
    }

    [Fact]
    public void Without_sampling_it_is_the_plain_gaussian()
    {
        Assert.Equal(7 / (2 * 9.0), RenyiAccountant.Divergence(1, 3, 7), 1e-12);
        Assert.Equal(7 / (2 * 9.0), RenyiAccountant.Divergence(1 - 1e-12, 3, 7), 1e-6);
        Assert.Equal(0, RenyiAccountant.Divergence(0, 3, 7));
        Assert.Equal(0, RenyiAccountant.Epsilon([], 1e-5));
        // The best order of one round, rho = 1 / (2 z^2): about rho + 2 sqrt(rho log(1 / delta)) by the classic conversion.
        double rho = 1 / 32.0;
        Assert.InRange(RenyiAccountant.Epsilon([(1, 4, 1)], 1e-5, RenyiConversion.Classic) / (rho + 2 * Math.Sqrt(rho * Math.Log(1e5))), 1, 1.01);
    }

    [Fact]
    public void More_noise_fewer_rounds_and_rarer_clients_cost_less()
    {
        double reference = Cost(0.1, 1, 100);
        Assert.True(Cost(0.1, 1.5, 100) < reference && Cost(0.1, 1, 50) < reference && Cost(0.05, 1, 100) < reference);
        Assert.True(Cost(1, 1, 100) > 5 * reference);
        Assert.Equal(RenyiAccountant.Epsilon([(0.1, 1, 60), (0.1, 1, 40)], 1e-5), reference, 1e-9);

        static double Cost(double q, double z, int rounds) => RenyiAccountant.Epsilon([(q, z, rounds)], 1e-5);
    }
}
