using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Coppice.Tensors;

namespace Coppice.Compression.Quantize;

/// <summary>Factors of symmetric positive definite matrices in double, row-major, blocked, parallel over rows; the same bits at any number of threads.</summary>
/// <remarks>All of it is one operation: to take from rows what columns before a panel explain, which are inner products of rows, and to solve for the panel. Rows of the
/// matrix give L; rows of the identity below it give L^-T.</remarks>
internal static unsafe class Cholesky
{
    // Columns settled at a time, and rows of a part; and how many columns of both fit a core's cache.
    const int Panel = 64, Depth = 512;

    /// <summary>Replaces the lower triangle of A [n, n] by L with A = L L^T; the upper one is spoilt. False where A is not safely positive definite; A is then spoilt.</summary>
    public static bool Factor(WorkerPool pool, double[] a, int n, CancellationToken cancel = default)
    {
        double floor = 0;
        for (int i = 0; i < n; i++)
            floor = Math.Max(floor, a[(long)i * n + i]);
        floor *= 1e-13;
        fixed (double* matrix = a)
        {
            for (int start = 0; start < n; start += Panel)
            {
                cancel.ThrowIfCancellationRequested();
                int end = Math.Min(n, start + Panel);
                UpdateJob update = new(matrix, n, start);
                pool.Run((n - start + Panel - 1) / Panel, ref update);
                for (int row = start; row < end; row++)
                {
                    Solve(matrix, n, matrix + (long)row * n, start, row);
                    ReadOnlySpan<double> done = new(matrix + (long)row * n + start, row - start);
                    double pivot = matrix[(long)row * n + row] - TensorPrimitives.Dot(done, done);
                    if (!(pivot > floor))
                        return false;
                    matrix[(long)row * n + row] = Math.Sqrt(pivot);
                }
                SolveJob solve = new(matrix, n, start, end);
                pool.Run((n - end + Panel - 1) / Panel, ref solve);
            }
        }
        return true;
    }

    /// <summary>The upper triangular U [n, n] with H^-1 = U^T U. False as in <see cref="Factor"/>; H is spoilt.</summary>
    /// <remarks>With R the reversal of order, R H R = L L^T gives H^-1 = (R L^-1 R)^T (R L^-1 R), so that U = R L^-1 R and H^-1 itself is never formed.</remarks>
    public static bool InverseFactor(WorkerPool pool, double[] h, int n, float[] u, CancellationToken cancel = default)
    {
        h.AsSpan(0, n * n).Reverse();
        if (!Factor(pool, h, n, cancel))
            return false;
        double[] inverse = new double[(long)n * n];
        fixed (double* l = h, y = inverse)
        fixed (float* result = u)
        {
            InverseJob invert = new(l, n, y);
            pool.Run((n + Panel - 1) / Panel, ref invert);
            ReverseJob reverse = new(y, n, result);
            pool.Run((n + Panel - 1) / Panel, ref reverse);
        }
        return true;
    }

    // x[start..end] = what is left of it, divided by the panel's own triangle.
    static void Solve(double* l, int n, double* x, int start, int end)
    {
        for (int j = start; j < end; j++)
        {
            double* row = l + (long)j * n;
            x[j] = (x[j] - TensorPrimitives.Dot(new ReadOnlySpan<double>(x + start, j - start), new ReadOnlySpan<double>(row + start, j - start))) / row[j];
        }
    }

    // c[i, j] -= x_i . l_j over columns from..to, for `rows` rows of x and `columns` rows of l; all rows are n apart.
    static void Update(double* x, double* l, double* c, int rows, int columns, long n, int from, int to)
    {
        for (int k = from; k < to; k += Depth)
        {
            int depth = Math.Min(Depth, to - k);
            for (int i = 0; i < rows; i += 4)
                for (int j = 0; j < columns; j += 4)
                    if (i + 4 <= rows && j + 4 <= columns)
                        Tile(x + i * n + k, l + j * n + k, c + i * n + j, n, depth);
                    else
                        for (int r = i; r < Math.Min(i + 4, rows); r++)
                            for (int s = j; s < Math.Min(j + 4, columns); s++)
                                c[r * n + s] -= Dot(x + r * n + k, l + s * n + k, depth);
        }
    }

    // Each element sums as in Tile, so that tiles' borders do not show. Depth is a multiple of 64.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static double Dot(double* x, double* l, int depth)
    {
        Vector<double> sum = default;
        for (int k = 0; k < depth; k += Vector<double>.Count)
            sum = Vector.FusedMultiplyAdd(Vector.Load(x + k), Vector.Load(l + k), sum);
        return Vector.Sum(sum);
    }

    // Sixteen inner products at once: eight loads for sixteen multiplications.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile(double* x, double* l, double* c, long n, int depth)
    {
        Vector<double> c00 = default, c01 = default, c02 = default, c03 = default, c10 = default, c11 = default, c12 = default, c13 = default;
        Vector<double> c20 = default, c21 = default, c22 = default, c23 = default, c30 = default, c31 = default, c32 = default, c33 = default;
        double* x1 = x + n, x2 = x1 + n, x3 = x2 + n, l1 = l + n, l2 = l1 + n, l3 = l2 + n;
        for (int k = 0; k < depth; k += Vector<double>.Count)
        {
            Vector<double> b0 = Vector.Load(l + k), b1 = Vector.Load(l1 + k), b2 = Vector.Load(l2 + k), b3 = Vector.Load(l3 + k), a = Vector.Load(x + k);
            (c00, c01) = (Vector.FusedMultiplyAdd(a, b0, c00), Vector.FusedMultiplyAdd(a, b1, c01));
            (c02, c03) = (Vector.FusedMultiplyAdd(a, b2, c02), Vector.FusedMultiplyAdd(a, b3, c03));
            a = Vector.Load(x1 + k);
            (c10, c11) = (Vector.FusedMultiplyAdd(a, b0, c10), Vector.FusedMultiplyAdd(a, b1, c11));
            (c12, c13) = (Vector.FusedMultiplyAdd(a, b2, c12), Vector.FusedMultiplyAdd(a, b3, c13));
            a = Vector.Load(x2 + k);
            (c20, c21) = (Vector.FusedMultiplyAdd(a, b0, c20), Vector.FusedMultiplyAdd(a, b1, c21));
            (c22, c23) = (Vector.FusedMultiplyAdd(a, b2, c22), Vector.FusedMultiplyAdd(a, b3, c23));
            a = Vector.Load(x3 + k);
            (c30, c31) = (Vector.FusedMultiplyAdd(a, b0, c30), Vector.FusedMultiplyAdd(a, b1, c31));
            (c32, c33) = (Vector.FusedMultiplyAdd(a, b2, c32), Vector.FusedMultiplyAdd(a, b3, c33));
        }
        Subtract(c, c00, c01, c02, c03);
        Subtract(c + n, c10, c11, c12, c13);
        Subtract(c + 2 * n, c20, c21, c22, c23);
        Subtract(c + 3 * n, c30, c31, c32, c33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Subtract(double* c, Vector<double> a, Vector<double> b, Vector<double> d, Vector<double> e)
    {
        c[0] -= Vector.Sum(a);
        c[1] -= Vector.Sum(b);
        c[2] -= Vector.Sum(d);
        c[3] -= Vector.Sum(e);
    }

    /// <summary>Takes from the panel's columns, of its own rows and of all below, what the columns before it explain.</summary>
    readonly struct UpdateJob(double* a, int n, int start) : IJob
    {
        public void Execute(int part)
        {
            int row = start + part * Panel;
            Update(a + (long)row * n, a + (long)start * n, a + (long)row * n + start, Math.Min(Panel, n - row), Math.Min(Panel, n - start), n, 0, start);
        }
    }

    /// <summary>Solves for the panel's columns of the rows below it.</summary>
    readonly struct SolveJob(double* a, int n, int start, int end) : IJob
    {
        public void Execute(int part)
        {
            for (int row = end + part * Panel; row < Math.Min(n, end + (part + 1) * Panel); row++)
                Solve(a, n, a + (long)row * n, start, end);
        }
    }

    /// <summary>Rows of L^-T, which do not depend on one another: row j starts as the identity's, and is 0 before column j.</summary>
    readonly struct InverseJob(double* l, int n, double* y) : IJob
    {
        public void Execute(int part)
        {
            int first = part * Panel, rows = Math.Min(Panel, n - first);
            double* mine = y + (long)first * n;
            for (int row = 0; row < rows; row++)
                mine[(long)row * n + first + row] = 1;
            for (int start = first; start < n; start += Panel)
            {
                int end = Math.Min(n, start + Panel);
                Update(mine, l + (long)start * n, mine + start, rows, end - start, n, first, start);
                for (int row = 0; row < rows; row++)
                    Solve(l, n, mine + (long)row * n, start, end);
            }
        }
    }

    /// <summary>U[i, j] = L^-T[n - 1 - j, n - 1 - i] on and above the diagonal, 0 below.</summary>
    readonly struct ReverseJob(double* y, int n, float* u) : IJob
    {
        public void Execute(int part)
        {
            int first = part * Panel, end = Math.Min(n, first + Panel);
            for (int j = 0; j < n; j++)
            {
                double* source = y + (long)(n - 1 - j) * n;
                for (int i = first; i < end; i++)
                    u[(long)i * n + j] = j >= i ? (float)source[n - 1 - i] : 0;
            }
        }
    }
}
