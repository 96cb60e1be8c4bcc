using System.Numerics.Tensors;
using Coppice.Tensors;

namespace Coppice.Compression.Quantize;

/// <summary>Factors of symmetric positive definite matrices in double, row-major, parallel over rows.</summary>
internal static class Cholesky
{
    const int Panel = 64;

    /// <summary>Replaces the lower triangle of A [n, n] by L with A = L L^T. False where A is not safely positive definite; A is then spoilt.</summary>
    public static bool Factor(WorkerPool pool, double[] a, int n, CancellationToken cancel = default)
    {
        double floor = 0;
        for (int i = 0; i < n; i++)
            floor = Math.Max(floor, a[i * n + i]);
        floor *= 1e-13;
        // Left-looking: a panel's own rows first, then every row below needs nothing but itself and the panel.
        for (int start = 0; start < n; start += Panel)
        {
            cancel.ThrowIfCancellationRequested();
            int end = Math.Min(n, start + Panel);
            for (int row = start; row < end; row++)
            {
                Eliminate(a, n, row, start, row);
                ReadOnlySpan<double> done = a.AsSpan(row * n, row);
                double pivot = a[row * n + row] - TensorPrimitives.Dot(done, done);
                if (!(pivot > floor))
                    return false;
                a[row * n + row] = Math.Sqrt(pivot);
            }
            PanelJob job = new(a, n, start, end);
            pool.Run(n - end, ref job);
        }
        return true;
    }

    /// <summary>X [n, n] = L^-1 for a lower triangular L; above the diagonal X must be, and stays, 0.</summary>
    public static void InvertLower(WorkerPool pool, double[] l, int n, double[] x)
    {
        InverseJob job = new(l, n, x);
        pool.Run((n + Panel - 1) / Panel, ref job);
    }

    /// <summary>The upper triangular U [n, n] with H^-1 = U^T U. False as in <see cref="Factor"/>; H is spoilt.</summary>
    /// <remarks>With R the reversal of order, R H R = L L^T gives H^-1 = (R L^-1 R)^T (R L^-1 R), so that U = R L^-1 R and H^-1 itself is never formed.</remarks>
    public static bool InverseFactor(WorkerPool pool, double[] h, int n, float[] u, CancellationToken cancel = default)
    {
        h.AsSpan(0, n * n).Reverse();
        if (!Factor(pool, h, n, cancel))
            return false;
        double[] inverse = new double[n * n];
        InvertLower(pool, h, n, inverse);
        for (int i = 0; i < n * n; i++)
            u[i] = (float)inverse[n * n - 1 - i];
        return true;
    }

    static void Eliminate(double[] a, int n, int row, int from, int to)
    {
        Span<double> target = a.AsSpan(row * n, n);
        for (int j = from; j < to; j++)
            target[j] = (target[j] - TensorPrimitives.Dot<double>(target[..j], a.AsSpan(j * n, j))) / a[j * n + j];
    }

    readonly struct PanelJob(double[] a, int n, int start, int end) : IJob
    {
        public void Execute(int part) => Eliminate(a, n, end + part, start, end);
    }

    /// <summary>A strip of columns of the inverse; strips do not depend on one another.</summary>
    readonly struct InverseJob(double[] l, int n, double[] x) : IJob
    {
        public void Execute(int part)
        {
            int first = part * Panel;
            for (int row = first; row < n; row++)
            {
                int width = Math.Min(Panel, row + 1 - first);
                Span<double> target = x.AsSpan(row * n + first, width);
                for (int k = first; k < row; k++)
                {
                    int known = Math.Min(width, k + 1 - first);
                    TensorPrimitives.MultiplyAdd(x.AsSpan(k * n + first, known), -l[row * n + k], target[..known], target[..known]);
                }
                if (row < first + Panel)
                    target[row - first] += 1;
                TensorPrimitives.Divide(target, l[row * n + row], target);
            }
        }
    }
}
