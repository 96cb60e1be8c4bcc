using Coppice.Compression;

namespace Coppice.Tests.Compression;

public class LeastSquaresTests
{
    [Fact]
    public void Two_outputs_of_two_inputs_are_those_by_hand()
    {
        // (G + I)^-1 of G = [[1, 1], [1, 2]] is [[3, -1], [-1, 2]] / 5; the mean of G's diagonal is 1.5.
        float[] x = new float[4];
        double used = LeastSquares.Solve(Samples.Pool, [1, 1, 1, 2], [5, 0, 1, 2], 2, 1 / 1.5, x);
        Assert.Equal([3, -1, 0.2f, 0.6f], x, (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.Equal(1 / 1.5, used);
    }

    [Theory]
    [InlineData(7, 3), InlineData(70, 11), InlineData(200, 4)]
    public void Solutions_are_those_of_elimination_in_double(int inputs, int outputs)
    {
        float[] rows = Samples.Inputs(3 * inputs, inputs, 5), right = Samples.Gaussian(outputs * inputs, 6), x = new float[right.Length];
        double[] gram = new double[inputs * inputs];
        for (int t = 0; t < 3 * inputs; t++)
            for (int i = 0; i < inputs; i++)
                for (int j = 0; j < inputs; j++)
                    gram[i * inputs + j] += (double)rows[t * inputs + i] * rows[t * inputs + j] / (3 * inputs);
        double[] before = [.. gram];
        double used = LeastSquares.Solve(Samples.Pool, gram, right, inputs, 0.01, x);
        Assert.Equal(0.01, used);
        Assert.Equal(before, gram);
        double ridge = used * Enumerable.Range(0, inputs).Average(i => gram[i * inputs + i]);
        for (int row = 0; row < outputs; row++)
        {
            double[] wanted = Eliminated(gram, ridge, right[(row * inputs)..((row + 1) * inputs)]);
            double size = Math.Sqrt(wanted.Average(value => value * value));
            for (int i = 0; i < inputs; i++)
                Assert.True(Math.Abs(wanted[i] - x[row * inputs + i]) < 2e-4 * size, $"[{row}, {i}]: {x[row * inputs + i]}, wanted {wanted[i]} of size {size}");
        }
    }

    [Fact]
    public void A_ridge_that_leaves_no_factor_is_raised()
    {
        float[] x = new float[2];
        // Two inputs that are one and the same.
        Assert.InRange(LeastSquares.Solve(Samples.Pool, [1, 1, 1, 1], [1, 1], 2, 1e-17, x), 1e-15, 1e-12);
        LeastSquares.Solve(Samples.Pool, [1, 1, 1, 1], [1, 1], 2, 1e-3, x);
        Assert.Equal([0.5f, 0.5f], x, (a, b) => Math.Abs(a - b) < 1e-3);
    }

    [Fact]
    public void Inputs_that_are_always_zero_get_nothing()
    {
        float[] x = new float[2];
        LeastSquares.Solve(Samples.Pool, new double[4], new float[2], 2, 0.01, x);
        Assert.Equal([0, 0], x);
    }

    static double[] Eliminated(double[] gram, double ridge, float[] right)
    {
        int n = right.Length;
        double[][] rows = [.. Enumerable.Range(0, n).Select(i => (double[])[.. Enumerable.Range(0, n).Select(j => gram[i * n + j] + (i == j ? ridge : 0)), right[i]])];
        for (int k = 0; k < n; k++)
        {
            int pivot = Enumerable.Range(k, n - k).MaxBy(i => Math.Abs(rows[i][k]));
            (rows[k], rows[pivot]) = (rows[pivot], rows[k]);
            for (int i = 0; i < n; i++)
                if (i != k && rows[i][k] / rows[k][k] is var factor)
                    for (int j = k; j <= n; j++)
                        rows[i][j] -= factor * rows[k][j];
        }
        return [.. rows.Select((row, i) => row[n] / row[i])];
    }
}
