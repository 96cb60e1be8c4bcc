using Coppice.Explanation;

namespace Coppice.Tests.Explanation;

public class PathIntegralTests
{
    /// <summary>The counterexample of Sundararajan et al. 2017: f = ReLU(ReLU(x1) - 1 - ReLU(x2)).</summary>
    [Theory]
    [InlineData(50, 50)]
    [InlineData(50, 7)]
    [InlineData(10, 1)]
    public void The_paper_s_network_of_three_relus_gets_one_and_a_half_and_minus_a_half(int steps, int pointsPerCall)
    {
        double[] attribution = new double[2];
        PathIntegral.Attribute([0, 0], [3, 1], steps, pointsPerCall, Gradients, attribution);
        Assert.Equal(1.5, attribution[0], 1e-6);
        Assert.Equal(-0.5, attribution[1], 1e-6);

        static void Gradients(ReadOnlySpan<float> points, int count, Span<float> gradients)
        {
            for (int p = 0; p < count; p++)
            {
                float x1 = points[2 * p], x2 = points[2 * p + 1];
                bool open = Math.Max(x1, 0) - 1 - Math.Max(x2, 0) > 0;
                gradients[2 * p] = open && x1 > 0 ? 1 : 0;
                gradients[2 * p + 1] = open && x2 > 0 ? -1 : 0;
            }
        }
    }

    [Fact]
    public void Three_nodes_are_exact_for_a_polynomial_of_degree_six()
    {
        // f = x^6 has the gradient 6 x^5, degree 5 = 2 * 3 - 1, so f(2) - f(1) comes out whole.
        double[] attribution = new double[1];
        PathIntegral.Attribute([1], [2], 3, 3, (points, count, gradients) =>
        {
            for (int p = 0; p < count; p++)
                gradients[p] = 6 * MathF.Pow(points[p], 5);
        }, attribution);
        Assert.Equal(63, attribution[0], 1e-4);
    }
}
