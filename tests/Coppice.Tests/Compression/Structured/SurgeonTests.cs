using Coppice.Compression.Structured;

namespace Coppice.Tests.Compression.Structured;

public class SurgeonTests
{
    [Fact]
    public void The_cheapest_of_two_goes_and_the_other_makes_up_for_it()
    {
        // G = [[2, 1], [1, 1]], G^-1 = [[1, -1], [-1, 2]]: input 0 costs 9 / 1, input 1 4 / 2, and of x_1 input 0 tells half.
        float[] weights = [3, 2];
        (int[] kept, double cost) = Surgeon.Run(Samples.Pool, [2, 1, 1, 1], 2, weights, 1, 1e-4);
        Assert.Equal([0], kept);
        Assert.Equal([4, 0], weights, (a, b) => Math.Abs(a - b) < 1e-2);
        Assert.Equal(2, cost, 1e-2);
    }

    [Fact]
    public void Of_two_that_are_alike_only_one_goes()
    {
        // x_0 and x_1 are one and the same, x_2 is small: once 0 has gone, 1 is dear.
        float[] weights = [1, 2, 1, 2, 3, 2];
        (int[] kept, _) = Surgeon.Run(Samples.Pool, [1, 1, 0, 1, 1, 0, 0, 0, 0.1f], 3, weights, 1, 1e-3);
        Assert.Equal([1], kept);
        Assert.Equal([0, 3, 0, 0, 5, 0], weights, (a, b) => Math.Abs(a - b) < 1e-2);
    }

    [Theory]
    [InlineData(12, 3, 5), InlineData(40, 7, 22)]
    public void Each_choice_is_the_best_there_is_and_what_stays_is_the_least_squares(int inputs, int outputs, int drop)
    {
        float[] x = Samples.Inputs(5 * inputs, inputs, 3), weights = Samples.Gaussian(outputs * inputs, 4), changed = [.. weights];
        (int[] kept, double cost) = Surgeon.Run(Samples.Pool, Samples.Statistics(x, inputs).Gram, inputs, changed, inputs - drop, 1e-6);
        double all = Samples.Objective(weights, changed, x, inputs) / (5 * inputs);
        Assert.Equal(all, cost, 0.02 * all);
        // Greedy by plain search: the input whose loss, after least squares by elimination, is least.
        List<int> stay = [.. Enumerable.Range(0, inputs)];
        while (stay.Count > inputs - drop)
            stay.Remove(stay.MinBy(gone => Loss(weights, x, inputs, [.. stay.Where(j => j != gone)])));
        Assert.Equal(stay, kept);
        Assert.Equal(Loss(weights, x, inputs, [.. stay]) / (5 * inputs), all, 0.02 * all);
    }

    // The least sum over outputs and tokens of (w x - v x_kept)^2, by Gram-Schmidt over tokens: what of each output's values no kept input tells.
    static double Loss(float[] weights, float[] x, int inputs, int[] kept)
    {
        int tokens = x.Length / inputs;
        List<double[]> basis = [];
        foreach (int j in kept)
        {
            double[] column = Without(basis, [.. Enumerable.Range(0, tokens).Select(t => (double)x[t * inputs + j])]);
            double size = Math.Sqrt(column.Sum(value => value * value));
            basis.Add([.. column.Select(value => value / size)]);
        }
        return Enumerable.Range(0, weights.Length / inputs).Sum(row => Without(basis, [.. Enumerable.Range(0, tokens).Select(t => Enumerable.Range(0, inputs).Sum(j => (double)weights[row * inputs + j] * x[t * inputs + j]))]).Sum(value => value * value));
    }

    static double[] Without(List<double[]> basis, double[] values)
    {
        foreach (double[] direction in basis)
        {
            double along = direction.Zip(values, (a, b) => a * b).Sum();
            values = [.. values.Zip(direction, (value, part) => value - along * part)];
        }
        return values;
    }
}
