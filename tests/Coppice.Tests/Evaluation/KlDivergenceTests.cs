using Coppice.Evaluation;

namespace Coppice.Tests.Evaluation;

public sealed class KlDivergenceTests
{
    static double Kl(float[] p, float[] q) => KlDivergence.Of(p, q, new double[p.Length], new double[p.Length]);

    [Fact]
    public void It_is_what_hands_compute()
    {
        // p = (1/4, 3/4), q = (3/4, 1/4): 1/4 ln(1/3) + 3/4 ln 3 = ln(3) / 2
        Assert.Equal(Math.Log(3) / 2, Kl([0, MathF.Log(3)], [MathF.Log(3), 0]), 1e-6);
        // p = (1/2, 1/2), q = (1/5, 4/5): ln(5/2) / 2 + ln(5/8) / 2
        Assert.Equal((Math.Log(2.5) + Math.Log(0.625)) / 2, Kl([1, 1], [3, 3 + MathF.Log(4)]), 1e-6);
    }

    [Fact]
    public void It_is_the_textbook_sum_for_any_rows()
    {
        Random random = new(1);
        foreach (double noise in new[] { 5, 0.5, 0.02, 0.005 })
            for (int round = 0; round < 50; round++)
            {
                float[] p = [.. Enumerable.Range(0, 300).Select(_ => (float)(10 * random.NextDouble()))];
                float[] q = [.. p.Select(x => (float)(x + noise * (random.NextDouble() - 0.5)))];
                decimal sumP = p.Sum(x => (decimal)Math.Exp(x)), sumQ = q.Sum(x => (decimal)Math.Exp(x));
                double wanted = 0;
                for (int i = 0; i < p.Length; i++)
                    wanted += Math.Exp(p[i]) / (double)sumP * ((double)p[i] - Math.Log((double)sumP) - q[i] + Math.Log((double)sumQ));
                Assert.Equal(wanted, Kl(p, q), 1e-12);
            }
    }

    [Fact]
    public void Equal_rows_give_exactly_zero_and_no_rows_give_less()
    {
        Random random = new(2);
        for (int round = 0; round < 200; round++)
        {
            float[] p = [.. Enumerable.Range(0, 100).Select(_ => (float)(30 * random.NextDouble() - 15))];
            Assert.Equal(0.0, Kl(p, p));
            float[] shifted = [.. p.Select(MathF.BitIncrement)];
            Assert.InRange(Kl(p, shifted), 0, 1e-9);
        }
    }

    [Fact]
    public void A_tiny_divergence_keeps_its_digits()
    {
        // p = (1/2, 1/2), q = (1/2 + e/4 ...): KL = e^2 / 8 for logits e apart, up to O(e^4)
        float e = MathF.ScaleB(1, -20);
        Assert.Equal(1, Kl([0, 0], [0, e]) / ((double)e * e / 8), 1e-6);
    }

    [Fact]
    public void A_huge_divergence_is_not_clipped()
    {
        Assert.Equal(100, Kl([100, 0], [0, 100]), 1e-9);
        Assert.Equal(2000, Kl([2000, 0], [0, 2000]), 1e-9);
        Assert.Equal(double.PositiveInfinity, Kl([0, 0], [0, float.NegativeInfinity]));
        Assert.Equal(Math.Log(2), Kl([0, float.NegativeInfinity], [0, 0]), 1e-12);
    }
}
