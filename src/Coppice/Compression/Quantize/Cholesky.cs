using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Compression.Quantize;

/// <summary>The factor of a symmetric positive definite matrix's inverse, in double and in place, blocked, parallel over bands of rows; the same bits at any number of threads.</summary>
/// <remarks>
/// Rows of A [n, n] become L with A = L L^T, from left to right; rows of the identity, treated as if they stood below A, become L^-T by the very same steps. Row r of L^-T is 0 before column r, and begins when column r of
/// L has been used for the last time: it takes that column's place, so that all is one triangle, A before and L^-1 after.
/// <code>
///          done    block
/// done    [ L^-1 ]
/// block   [ solve |   T   ]             solve:  X = T X with T the inverse of the block's own triangle; Y = Y T^T below it
/// to come [ update| begin | update ]    update: C -= Y X, and to the right C -= Y Y^T; begin: C = -Y T
/// </code>
/// </remarks>
internal static unsafe class Cholesky
{
    // Columns settled at a time, and rows of a part: whole tiles both ways. A band of packed rows stays in a core's second cache.
    const int Block = 192, Band = 96;

    /// <summary>Fills a row of H from its diagonal on: n - row numbers. Called by several threads at once.</summary>
    public delegate void Row(int row, Span<double> fromDiagonal);

    /// <summary>The upper triangular U [n, n] with H^-1 = U^T U, of which nothing is written below the diagonal. False where H is not safely positive definite.</summary>
    /// <remarks>With R the reversal of order, R H R = L L^T gives H^-1 = (R L^-1 R)^T (R L^-1 R), so that U = R L^-1 R and H^-1 itself is never formed. Beside U it takes 4 n^2 bytes, which are given back at once.</remarks>
    public static bool InverseFactor<T>(WorkerPool pool, int n, Row h, T[] u, CancellationToken cancel = default)
        where T : unmanaged, IFloatingPoint<T>
    {
        if (u.Length != (long)n * n)
            throw new ArgumentException($"Cholesky: a factor of {u.Length} numbers for {n} inputs");
        int bands = (n + Band - 1) / Band;
        nuint length = (nuint)Band * Band / 2 * (nuint)bands * (nuint)(bands + 1), side = (nuint)bands * Band * Block;
        double* a = (double*)NativeMemory.AllocZeroed(length + 2 * side + 3 * Block * Block, sizeof(double));
        PageAdvice.Enlarge(a, (long)(length + 2 * side) * sizeof(double));
        double* left = a + length, right = left + side, triangle = right + side, columns = triangle + Block * Block, rows = columns + Block * Block;
        try
        {
            FillJob fill = new(h, a, n);
            pool.Run(n, ref fill);
            double floor = 0;
            for (int i = 0; i < n; i++)
                floor = Math.Max(floor, At(a, i)[i]);
            for (int start = 0; start < n; start += Block)
            {
                cancel.ThrowIfCancellationRequested();
                int end = Math.Min(n, start + Block), width = end - start;
                if (!Triangle(a, start, end, 1e-13 * floor, new Span<double>(triangle, width * width)))
                    return false;
                for (int column = 0; column < width; column += DoubleTile.Columns)
                    DoubleTile.Pack(triangle + column * width, width, Math.Min(DoubleTile.Columns, width - column), width, DoubleTile.Columns, columns + column * width);
                for (int row = 0; row < width; row += DoubleTile.Rows)
                    DoubleTile.Pack(triangle + row * width, width, Math.Min(DoubleTile.Rows, width - row), width, DoubleTile.Rows, rows + row * width);
                SolveJob solve = new(a, n, start, end, triangle, columns, rows, left, right);
                pool.Run(bands, ref solve);
                UpdateJob update = new(a, n, start, end, left, right);
                pool.Run(bands - (end + Band - 1) / Band, ref update);
            }
            fixed (T* result = u)
            {
                ReverseJob<T> reverse = new(a, n, result);
                pool.Run(n, ref reverse);
            }
            return true;
        }
        finally
        {
            NativeMemory.Free(a);
        }
    }

    // A row of the triangle. Rows of a band are as long as its last: a tile never reaches past one.
    static double* At(double* a, int row)
    {
        long band = row / Band;
        return a + Band * Band / 2 * band * (band + 1) + (row - band * Band) * Stride(row);
    }

    static int Stride(int row) => (row / Band + 1) * Band;

    readonly struct FillJob(Row h, double* a, int n) : IJob
    {
        public void Execute(int part)
        {
            Span<double> row = new(At(a, part), part + 1);
            h(n - 1 - part, row);
            row.Reverse();
        }
    }

    // Factors the block's own triangle and puts its inverse in its place. A pivot at the floor or below, or none at all, ends it.
    static bool Triangle(double* a, int start, int end, double floor, Span<double> inverse)
    {
        int width = end - start;
        inverse.Clear();
        for (int i = 0; i < width; i++)
        {
            Span<double> row = new(At(a, start + i) + start, i + 1), inverted = inverse.Slice(i * width, width);
            for (int j = 0; j < i; j++)
            {
                ReadOnlySpan<double> above = new(At(a, start + j) + start, j + 1);
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
        for (int i = 0; i < width; i++)
            inverse.Slice(i * width, i + 1).CopyTo(new Span<double>(At(a, start + i) + start, i + 1));
        return true;
    }

    /// <summary>Settles the block's rows where they are done, packed as right operands, and its columns in rows to come, packed as left operands and as right ones.</summary>
    readonly struct SolveJob(double* a, int n, int start, int end, double* triangle, double* columns, double* rows, double* left, double* right) : IJob
    {
        public void Execute(int part)
        {
            int first = part * Band, last = Math.Min(n, first + Band);
            if (first < start)
                for (int column = first; column < last; column += DoubleTile.Columns)
                    Done(column);
            else if (first < end)
                for (int column = first; column < last; column += DoubleTile.Columns)
                    Own(column);
            else
                ToCome(first, last);
        }

        // X = T X for sixteen columns.
        [SkipLocalsInit]
        void Done(int column)
        {
            int width = end - start;
            double* before = stackalloc double[Block * DoubleTile.Columns], x = right + (long)column * Block;
            for (int k = 0; k < width; k++)
                new ReadOnlySpan<double>(At(a, start + k) + column, DoubleTile.Columns).CopyTo(new Span<double>(before + k * DoubleTile.Columns, DoubleTile.Columns));
            for (int row = 0; row < width; row += DoubleTile.Rows)
                DoubleTile.Run(rows + row * width, before, width, x + row * DoubleTile.Columns);
            for (int k = 0; k < width; k++)
                new ReadOnlySpan<double>(x + k * DoubleTile.Columns, DoubleTile.Columns).CopyTo(new Span<double>(At(a, start + k) + column, DoubleTile.Columns));
        }

        void Own(int column)
        {
            int width = end - start, count = Math.Min(DoubleTile.Columns, end - column);
            double* x = right + (long)column * Block;
            for (int k = 0; k < width; k++)
                new ReadOnlySpan<double>(triangle + k * width + column - start, count).CopyTo(new Span<double>(x + k * DoubleTile.Columns, count));
        }

        // Y = Y T^T for a band of rows.
        [SkipLocalsInit]
        void ToCome(int first, int last)
        {
            int stride = Stride(first);
            double* tile = stackalloc double[DoubleTile.Rows * DoubleTile.Columns];
            for (int row = first; row < last; row += DoubleTile.Rows)
            {
                int count = Math.Min(DoubleTile.Rows, last - row);
                double* block = At(a, row) + start, y = left + (long)row * Block;
                DoubleTile.Pack(block, stride, count, Block, DoubleTile.Rows, y);
                for (int column = 0; column < Block; column += DoubleTile.Columns)
                {
                    DoubleTile.Run(y, columns + column * Block, Block, tile);
                    for (int i = 0; i < count; i++)
                        new ReadOnlySpan<double>(tile + i * DoubleTile.Columns, DoubleTile.Columns).CopyTo(new Span<double>(block + (long)i * stride + column, DoubleTile.Columns));
                }
                DoubleTile.Pack(block, stride, count, Block, DoubleTile.Rows, y);
            }
            for (int row = first; row < last; row += DoubleTile.Columns)
                DoubleTile.Pack(At(a, row) + start, stride, Math.Min(DoubleTile.Columns, last - row), Block, DoubleTile.Columns, right + (long)row * Block);
        }
    }

    /// <summary>Takes what the block explains from the rows to come, up to the diagonal (and, harmlessly, a band's rest beyond it).</summary>
    readonly struct UpdateJob(double* a, int n, int start, int end, double* left, double* right) : IJob
    {
        [SkipLocalsInit]
        public void Execute(int part)
        {
            int first = end + part * Band, last = Math.Min(n, first + Band), stride = Stride(first);
            double* tile = stackalloc double[DoubleTile.Rows * DoubleTile.Columns];
            for (int column = 0; column < last; column += DoubleTile.Columns)
                for (int row = first; row < last; row += DoubleTile.Rows)
                {
                    DoubleTile.Run(left + (long)row * Block, right + (long)column * Block, Block, tile);
                    Take(tile, At(a, row) + column, stride, Math.Min(DoubleTile.Rows, last - row), column >= start && column < end);
                }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static void Take(double* tile, double* to, int stride, int rows, bool begins)
        {
            for (int i = 0; i < rows; i++, tile += DoubleTile.Columns, to += stride)
                for (int j = 0; j < DoubleTile.Columns; j += 4)
                    ((begins ? Vector256<double>.Zero : Vector256.Load(to + j)) - Vector256.Load(tile + j)).Store(to + j);
        }
    }

    /// <summary>U[i, j] = L^-1[n - 1 - i, n - 1 - j] on and above the diagonal.</summary>
    readonly struct ReverseJob<T>(double* a, int n, T* u) : IJob
        where T : unmanaged, IFloatingPoint<T>
    {
        public void Execute(int part)
        {
            double* from = At(a, n - 1 - part) + n - 1;
            T* to = u + (long)part * n;
            for (int j = part; j < n; j++)
                to[j] = T.CreateTruncating(from[-j]);
        }
    }
}
