using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression.Quantize;

/// <summary>The factor of a symmetric positive definite matrix's inverse, in double and in place, blocked, parallel over bands of rows; the same bits at any number of threads.</summary>
/// <remarks>
/// Rows of A [n, n] become L with A = L L^T, from left to right; rows of the identity, treated as if they stood below A, become L^-T by the very same steps. Both are
/// triangular, so that they share the matrix: L below the diagonal for as long as it is needed, L^-T on it and above.
/// <code>
///          done    block   to come
/// done    [ L^-T | solve | update ]     solve:  X = X T^T, with T the inverse of the block's own triangle
/// block   [      |  T^T  |  begin ]     update: C -= X Y^T, with Y the solved rows below the block
/// to come [      | solve | update ]     begin:  C = -X Y^T
/// </code>
/// </remarks>
internal static unsafe class Cholesky
{
    // Columns settled at a time, and rows of a part: whole tiles both ways. A band of packed rows stays in a core's second cache.
    const int Block = 192, Band = 96;

    /// <summary>The upper triangular U [n, n] with H^-1 = U^T U. False where H is not safely positive definite. H is spoilt.</summary>
    /// <remarks>With R the reversal of order, R H R = L L^T gives H^-1 = (R L^-1 R)^T (R L^-1 R), so that U = R L^-1 R and H^-1 itself is never formed.</remarks>
    public static bool InverseFactor<T>(WorkerPool pool, double[] h, int n, T[] u, CancellationToken cancel = default)
        where T : unmanaged, IFloatingPoint<T>
    {
        Span<double> all = h.AsSpan(0, checked(n * n));
        all.Reverse();
        double floor = 0;
        for (int i = 0; i < n; i++)
            floor = Math.Max(floor, all[i * n + i]);
        int bands = (n + Band - 1) / Band;
        double[] left = new double[bands * Band * Block], right = new double[bands * Band * Block], triangle = new double[Block * Block], packed = new double[Block * Block];
        fixed (double* a = h, x = left, y = right, t = triangle, tp = packed)
        fixed (T* result = u)
        {
            for (int start = 0; start < n; start += Block)
            {
                cancel.ThrowIfCancellationRequested();
                int end = Math.Min(n, start + Block), width = end - start;
                if (!Triangle(a, n, start, end, 1e-13 * floor, triangle.AsSpan(0, width * width)))
                    return false;
                for (int column = 0; column < width; column += DoubleTile.Columns)
                    DoubleTile.Pack(t + column * width, width, Math.Min(DoubleTile.Columns, width - column), width, DoubleTile.Columns, tp + column * width);
                SolveJob solve = new(a, n, start, end, t, tp, x, y);
                pool.Run(bands, ref solve);
                UpdateJob update = new(a, n, start, end, x, y);
                pool.Run(bands, ref update);
            }
            ReverseJob<T> reverse = new(a, n, result);
            pool.Run(bands, ref reverse);
        }
        return true;
    }

    // Factors the block's own triangle in place and inverts it. A pivot at the floor or below, or none at all, ends it.
    static bool Triangle(double* a, int n, int start, int end, double floor, Span<double> inverse)
    {
        int width = end - start;
        inverse.Clear();
        for (int i = 0; i < width; i++)
        {
            Span<double> row = new(a + (long)(start + i) * n + start, i + 1), inverted = inverse.Slice(i * width, width);
            for (int j = 0; j < i; j++)
            {
                ReadOnlySpan<double> above = new(a + (long)(start + j) * n + start, j + 1);
                row[j] = (row[j] - TensorPrimitives.Dot(row[..j], above[..j])) / above[j];
            }
            double pivot = row[i] - TensorPrimitives.Dot<double>(row[..i], row[..i]);
            if (!(pivot > floor))
                return false;
            row[i] = Math.Sqrt(pivot);
            inverted[i] = 1;
            for (int k = 0; k < i; k++)
                TensorPrimitives.MultiplyAdd(inverse.Slice(k * width, k + 1), -row[k], inverted[..(k + 1)], inverted[..(k + 1)]);
            TensorPrimitives.Divide(inverted[..(i + 1)], row[i], inverted[..(i + 1)]);
        }
        return true;
    }

    /// <summary>Settles the block's columns of a band of rows and packs them: as a left operand, and where they lie below the block as a right one too.</summary>
    readonly struct SolveJob(double* a, int n, int start, int end, double* triangle, double* packed, double* left, double* right) : IJob
    {
        [SkipLocalsInit]
        public void Execute(int part)
        {
            int first = part * Band, last = Math.Min(n, first + Band), width = end - start;
            double* tile = stackalloc double[DoubleTile.Rows * DoubleTile.Columns];
            for (int row = first; row < last; row += DoubleTile.Rows)
            {
                int rows = Math.Min(DoubleTile.Rows, last - row);
                double* block = a + (long)row * n + start, x = left + (long)row * Block;
                if (row >= start && row < end)
                {
                    for (int i = 0; i < rows; i++)
                        for (int k = 0; k < width; k++)
                            block[(long)i * n + k] = triangle[k * width + row - start + i];
                }
                else
                {
                    DoubleTile.Pack(block, n, rows, width, DoubleTile.Rows, x);
                    for (int column = 0; column < width; column += DoubleTile.Columns)
                    {
                        DoubleTile.Run(x, packed + column * width, width, tile);
                        Put(tile, block + column, n, rows, Math.Min(DoubleTile.Columns, width - column));
                    }
                }
                DoubleTile.Pack(block, n, rows, width, DoubleTile.Rows, x);
            }
            if (first >= end)
                for (int row = first; row < last; row += DoubleTile.Columns)
                    DoubleTile.Pack(a + (long)row * n + start, n, Math.Min(DoubleTile.Columns, last - row), width, DoubleTile.Columns, right + (long)row * Block);
        }

        static void Put(double* tile, double* to, int n, int rows, int columns)
        {
            for (int i = 0; i < rows; i++)
                new ReadOnlySpan<double>(tile + i * DoubleTile.Columns, columns).CopyTo(new Span<double>(to + (long)i * n, columns));
        }
    }

    /// <summary>Takes what the block explains from the columns behind it: of rows that are done all, of the others those up to the diagonal (and, harmlessly, a tile's rest beyond it).</summary>
    readonly struct UpdateJob(double* a, int n, int start, int end, double* left, double* right) : IJob
    {
        [SkipLocalsInit]
        public void Execute(int part)
        {
            int first = part * Band, last = Math.Min(n, first + Band), width = end - start, until = first < end ? n : last;
            bool begins = first >= start && first < end;
            double* tile = stackalloc double[DoubleTile.Rows * DoubleTile.Columns];
            for (int column = end; column < until; column += DoubleTile.Columns)
                for (int row = first; row < last; row += DoubleTile.Rows)
                {
                    DoubleTile.Run(left + (long)row * Block, right + (long)column * Block, width, tile);
                    Take(tile, a + (long)row * n + column, n, Math.Min(DoubleTile.Rows, last - row), Math.Min(DoubleTile.Columns, until - column), begins);
                }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static void Take(double* tile, double* to, int n, int rows, int columns, bool begins)
        {
            for (int i = 0; i < rows; i++, tile += DoubleTile.Columns, to += n)
                if (begins)
                    for (int j = 0; j < columns; j++)
                        to[j] = -tile[j];
                else if (columns == DoubleTile.Columns)
                    for (int j = 0; j < DoubleTile.Columns; j += 4)
                        (Vector256.Load(to + j) - Vector256.Load(tile + j)).Store(to + j);
                else
                    for (int j = 0; j < columns; j++)
                        to[j] -= tile[j];
        }
    }

    /// <summary>U[i, j] = L^-T[n - 1 - j, n - 1 - i] on and above the diagonal, 0 below.</summary>
    readonly struct ReverseJob<T>(double* y, int n, T* u) : IJob
        where T : unmanaged, IFloatingPoint<T>
    {
        const int Square = 16;

        // Sixteen columns at a time, so that lines of what is read across are still there for the next row.
        public void Execute(int part)
        {
            int first = part * Band, end = Math.Min(n, first + Band);
            for (int from = 0; from < n; from += Square)
                for (int i = first; i < end; i++)
                    for (int j = from; j < Math.Min(n, from + Square); j++)
                        u[(long)i * n + j] = j >= i ? T.CreateTruncating(y[(long)(n - 1 - j) * n + n - 1 - i]) : T.Zero;
        }
    }
}
