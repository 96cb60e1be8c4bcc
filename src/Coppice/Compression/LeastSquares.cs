using Coppice.Compression.Quantize;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression;

/// <summary>Linear least squares from products of the inputs, with a ridge that raises itself until there is one solution.</summary>
public static class LeastSquares
{
    /// <summary>X = R (G + lambda I)^-1: the least E||y - X x||^2 + lambda ||X||^2 over X, for G the mean of x x^T and R that of y x^T. X is never worse on these x than zero. In float32: X is off by about 1e-7 / dampening of its size at most.</summary>
    /// <param name="pool">Threads.</param>
    /// <param name="gram">G [inputs, inputs], symmetric.</param>
    /// <param name="right">R [outputs, inputs].</param>
    /// <param name="inputs">Numbers of x.</param>
    /// <param name="dampening">lambda as a share of the mean of G's diagonal; raised tenfold while G + lambda I has no safe factor.</param>
    /// <param name="solution">X [outputs, inputs].</param>
    /// <param name="cancel">Stops the work.</param>
    /// <returns>The dampening that gave the solution.</returns>
    public static double Solve(WorkerPool pool, double[] gram, ReadOnlySpan<float> right, int inputs, double dampening, Span<float> solution, CancellationToken cancel = default)
    {
        if (gram.Length != (long)inputs * inputs || right.Length % inputs != 0 || solution.Length != right.Length || !(dampening > 0))
            throw new ArgumentException($"LeastSquares: G of {gram.Length} numbers, R of {right.Length}, X of {solution.Length} for {inputs} inputs, damped by {dampening}");
        double mean = 0;
        for (int i = 0; i < inputs; i++)
            mean += gram[i * inputs + i] / inputs;
        double used = dampening;
        float[] upper = new float[gram.Length], half = new float[right.Length];
        while (!Cholesky.InverseFactor(pool, inputs, Damped, upper, cancel))
            used *= 10;
        // (G + lambda I)^-1 = U^T U.
        int outputs = right.Length / inputs;
        Gemm.Multiply(pool, Transpose.No, Transpose.Yes, outputs, inputs, inputs, right, inputs, upper, inputs, half, inputs, Accumulate.Overwrite);
        Gemm.Multiply(pool, Transpose.No, Transpose.No, outputs, inputs, inputs, half, inputs, upper, inputs, solution, inputs, Accumulate.Overwrite);
        return used;

        void Damped(int row, Span<double> to)
        {
            gram.AsSpan(row * (inputs + 1), to.Length).CopyTo(to);
            to[0] += (mean == 0 ? 1 : mean) * used;
        }
    }
}
