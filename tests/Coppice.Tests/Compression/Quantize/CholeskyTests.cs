using Coppice.Compression.Quantize;
using Coppice.Tensors;
using MathNet.Numerics.LinearAlgebra;

namespace Coppice.Tests.Compression.Quantize;

public class CholeskyTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(150)]
    [InlineData(192)]
    [InlineData(193)]
    [InlineData(262)]
    [InlineData(401)]
    public void The_inverse_is_the_product_of_its_upper_factor(int n)
    {
        double[] h = Positive(n, rank: n + 10);
        float[] u = new float[n * n];
        Assert.True(Cholesky.InverseFactor(Samples.Pool, n, Samples.RowsOf(h), u));

        Matrix<double> factor = Matrix<double>.Build.Dense(n, n, (i, j) => u[i * n + j]);
        Matrix<double> identity = factor.TransposeThisAndMultiply(factor) * Matrix<double>.Build.Dense(n, n, (i, j) => h[i * n + j]);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
            {
                Assert.Equal(i == j ? 1 : 0, identity[i, j], 1e-3);
                if (j < i)
                    Assert.Equal(0, u[i * n + j]);
            }
    }

    [Fact]
    public void Any_number_of_threads_gives_the_same_bits()
    {
        const int n = 431;
        double[] h = Positive(n, rank: n + 10);
        float[] one = Factor(1), three = Factor(3);
        Assert.Equal(one, three);

        float[] Factor(int threads)
        {
            using WorkerPool pool = new(threads);
            float[] u = new float[n * n];
            Assert.True(Cholesky.InverseFactor(pool, n, Samples.RowsOf(h), u));
            return u;
        }
    }

    [Fact]
    public void A_matrix_that_is_not_positive_definite_is_refused() =>
        Assert.False(Cholesky.InverseFactor(Samples.Pool, 80, Samples.RowsOf(Positive(80, rank: 40)), new float[80 * 80]));

    [Fact]
    public void A_matrix_with_a_NaN_is_refused()
    {
        double[] h = Positive(70, rank: 90);
        h[69 * 70 + 3] = h[3 * 70 + 69] = double.NaN;
        Assert.False(Cholesky.InverseFactor(Samples.Pool, 70, Samples.RowsOf(h), new float[70 * 70]));
    }

    static double[] Positive(int n, int rank)
    {
        float[] x = Samples.Gaussian(rank * n, n);
        double[] h = new double[n * n];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                for (int t = 0; t < rank; t++)
                    h[i * n + j] += (double)x[t * n + i] * x[t * n + j];
        return h;
    }
}
