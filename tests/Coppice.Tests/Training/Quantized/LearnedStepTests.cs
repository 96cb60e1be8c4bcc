using Coppice.Training.Quantized;

namespace Coppice.Tests.Training.Quantized;

public class LearnedStepTests
{
    static readonly float[] Weights = [0.3f, -0.8f, 9, -9, 0.25f];

    [Fact]
    public void Steps_start_from_the_mean_size_or_from_the_range()
    {
        // Mean size 2, Qp 3.
        Assert.Equal(4 / Math.Sqrt(3), LearnedStep.OfMeanSize([1, -3, 0, 2], bits: 3), 1e-6);
        Assert.Equal(0, LearnedStep.OfMeanSize([0, 0], bits: 3));
        Assert.Equal((2f, (byte)2), LearnedStep.OfRange([1, -3, 0, 2], bits: 2, symmetric: true));
        Assert.Equal((2f, (byte)2), LearnedStep.OfRange([1, -4, 0, 2], bits: 2, symmetric: false));
        Assert.Equal((LearnedStep.Least, (byte)2), LearnedStep.OfRange([0, 0], bits: 2, symmetric: true));
    }

    [Fact]
    public void The_step_of_least_error_gives_up_an_outlier_for_the_rest()
    {
        // Codes -2 to 1 of a step s leave 15 (s - 1)^2 + (4 - 2 s)^2, the least of which is at 46/38; steps that are tried lie 0.053 apart.
        float[] weights = [.. Enumerable.Repeat(1f, 15), -4];
        (float step, byte zero) = LearnedStep.OfLeastError(weights, bits: 2, symmetric: true);
        Assert.Equal(46 / 38.0, step, 0.03);
        Assert.Equal(2, zero);
        Assert.Equal(LearnedStep.Least, LearnedStep.OfLeastError([0, 0, 0], 2, true).Step, LearnedStep.Least);
    }

    [Fact]
    public void Weights_go_to_the_nearest_code_ties_to_even_and_what_is_too_large_to_the_last()
    {
        float[] rounded = new float[5];
        LearnedStep.Round(Weights, 0.5f, 4, 3, rounded);
        Assert.Equal([0.5f, -1, 1.5f, -2, 0], rounded);
        Assert.Equal([5, 2, 7, 0, 4], Weights.Select(weight => (int)LearnedStep.Code(weight, 0.5f, 4, 3)));
        LearnedStep.Round(Weights, 0.5f, 1, 3, rounded);
        Assert.Equal([0.5f, -0.5f, 3, -0.5f, 0], rounded);
    }

    [Fact]
    public void The_gradient_passes_within_the_grid_and_the_steps_is_the_paper_s()
    {
        float[] gradient = [1, 2, 3, 4, 5];
        // 1 (1 - 0.6) + 2 (-2 + 1.6) + 3 * 3 + 4 * -4 + 5 (0 - 0.5)
        Assert.Equal(-9.9, LearnedStep.Back(Weights, 0.5f, 4, 3, gradient), 1e-5);
        Assert.Equal([1, 2, 0, 0, 5], gradient);
        Assert.Equal(1 / Math.Sqrt(32 * 7), LearnedStep.GradientScale(32, bits: 4), 1e-7);
    }

    // Where the rounding's own error is held, s (clamp(w / s) + error) can be differentiated.
    [Theory]
    [InlineData(2, 2), InlineData(3, 4), InlineData(4, 3), InlineData(8, 128)]
    public void Gradients_are_finite_differences_with_the_rounding_error_held(int bits, int zero)
    {
        Random random = new(bits);
        float[] weights = [.. Enumerable.Range(0, 64).Select(_ => (float)(random.NextDouble() - 0.5))];
        float[] gradient = [.. weights.Select(_ => (float)(random.NextDouble() - 0.5))], before = [.. gradient];
        double step = 0.6 / (1 << bits), small = 1e-7;
        double slope = LearnedStep.Back(weights, (float)step, zero, bits, gradient), expected = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            double place = Clamp(weights[i] / step), error = Math.Round(place) - place;
            expected += before[i] * (Held(weights[i], step + small) - Held(weights[i], step - small)) / (2 * small);
            Assert.Equal(before[i] * (Held(weights[i] + small, step) - Held(weights[i] - small, step)) / (2 * small), gradient[i], 1e-4);

            double Held(double weight, double step) => step * (Clamp(weight / step) + error);
        }
        Assert.Equal(expected, slope, 1e-3);

        double Clamp(double place) => Math.Clamp(place, -zero, (1 << bits) - 1 - zero);
    }
}
