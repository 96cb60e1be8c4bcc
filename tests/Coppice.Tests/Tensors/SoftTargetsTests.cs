using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Tests.Tensors.Simd;
using SoftTargets = Coppice.Tensors.Simd.SoftTargets;

namespace Coppice.Tests.Tensors;

public sealed class SoftTargetsTests : IDisposable
{
    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    static double[] Softmax(IEnumerable<double> logits, double temperature)
    {
        double[] powers = [.. logits.Select(logit => Math.Exp(logit / temperature))];
        return [.. powers.Select(power => power / powers.Sum())];
    }

    static double Loss(double[] x, double[] z, int target, double temperature, double share)
    {
        double[] p = Softmax(z, temperature), q = Softmax(x, temperature);
        return (1 - share) * -Math.Log(Softmax(x, 1)[target]) + share * temperature * temperature * p.Zip(q, (p, q) => p * Math.Log(p / q)).Sum();
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 0.5)]
    [InlineData(4, 0.9)]
    [InlineData(0.5, 0.3)]
    [InlineData(2, 0)]
    public void Loss_and_gradient_are_those_of_the_formula_in_double(double temperature, double share)
    {
        foreach (int classes in (int[])[1, 2, 5, 16, 33, 70, 300])
        {
            const int Rows = 3;
            float[] logits = [.. SimdTesting.Numbers(Rows * classes, 1).Select(v => 8 * v)], soft = [.. SimdTesting.Numbers(Rows * classes, 2).Select(v => 8 * v)], gradient = [.. logits];
            int[] targets = [0, Coppice.Tensors.CrossEntropy.Ignored, classes - 1];
            double[] losses = new double[Rows];
            SoftTargets.LossAndGradient(pool, gradient, soft, targets, new SoftTargetsSettings((float)temperature, (float)share), 0.25f, losses);
            for (int row = 0; row < Rows; row++)
            {
                double[] x = SimdTesting.Doubles(logits.AsSpan(row * classes, classes)), z = SimdTesting.Doubles(soft.AsSpan(row * classes, classes));
                Assert.Equal(row == 1 ? 0 : Loss(x, z, targets[row], temperature, share), losses[row], 2e-5 * Math.Max(1, temperature * temperature));
                for (int i = 0; i < classes; i++)
                {
                    const double Step = 1e-5;
                    double kept = x[i], wanted = 0;
                    if (row != 1)
                    {
                        x[i] = kept + Step;
                        wanted = Loss(x, z, targets[row], temperature, share);
                        x[i] = kept - Step;
                        wanted = 0.25 * (wanted - Loss(x, z, targets[row], temperature, share)) / (2 * Step);
                        x[i] = kept;
                    }
                    Assert.Equal(wanted, gradient[row * classes + i], 2e-6);
                }
            }
        }
    }

    [Fact]
    public void Equal_outputs_have_no_divergence_and_no_gradient()
    {
        float[] logits = [.. SimdTesting.Numbers(40, 1).Select(v => 8 * v)], gradient = [.. logits];
        double[] losses = new double[2];
        SoftTargets.LossAndGradient(pool, gradient, logits, [3, 4], new SoftTargetsSettings(2, 1), 1, losses);
        Assert.All(losses, loss => Assert.Equal(0, loss, 1e-6));
        Assert.All(gradient, value => Assert.Equal(0, value, 1e-7));
    }

    [Fact]
    public void Two_classes_by_hand()
    {
        // softmax(0, ln 3) = (1/4, 3/4) against (1/2, 1/2): KL = 1/4 ln(1/2) + 3/4 ln(3/2); its gradient is (1/2 - 1/4, 1/2 - 3/4).
        float[] gradient = [0, 0];
        double[] losses = new double[1];
        SoftTargets.LossAndGradient(pool, gradient, [0, MathF.Log(3)], [0], new SoftTargetsSettings(1, 1), 1, losses);
        Assert.Equal(0.25 * Math.Log(0.5) + 0.75 * Math.Log(1.5), losses[0], 1e-6);
        Assert.Equal(0.25, gradient[0], 1e-6);
        Assert.Equal(-0.25, gradient[1], 1e-6);
    }
}
