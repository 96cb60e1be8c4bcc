using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>Products of packed doubles, twelve rows by sixteen columns at a time: c[i, j] = sum over k of x[k][i] b[k][j].</summary>
/// <remarks>Lanes are columns, and every sum runs from the first k to the last, so that the width of a vector does not change a bit.</remarks>
internal static unsafe class DoubleTile
{
    public const int Rows = 12, Columns = 16;

    /// <summary>Packs rows: to[k][i] = source[i, k], zeros for rows that are not there.</summary>
    /// <param name="source">[rows, depth], rows <paramref name="stride"/> numbers apart.</param>
    /// <param name="stride">Numbers from one row to the next.</param>
    /// <param name="rows">At most <paramref name="width"/>.</param>
    /// <param name="depth">Inner dimension.</param>
    /// <param name="width"><see cref="Rows"/> for a left operand, <see cref="Columns"/> for a right one.</param>
    /// <param name="to">[depth][width].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack(double* source, nint stride, int rows, int depth, int width, double* to)
    {
        for (int i = 0; i < rows; i++)
            for (int k = 0; k < depth; k++)
                to[(nint)k * width + i] = source[i * stride + k];
        for (int i = rows; i < width; i++)
            for (int k = 0; k < depth; k++)
                to[(nint)k * width + i] = 0;
    }

    /// <summary>Computes one tile into <paramref name="tile"/> [<see cref="Rows"/>, <see cref="Columns"/>].</summary>
    public static void Run(double* x, double* b, int depth, double* tile)
    {
        if (SimdLevel.Active == SimdLevel.Vector512)
            Wide(x, b, depth, tile);
        else
            Narrow(x, b, depth, tile);
    }

    // Twenty-four sums in registers: two vectors of eight columns for each row.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Wide(double* x, double* b, int depth, double* tile)
    {
        Vector512<double> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        Vector512<double> c40 = default, c41 = default, c50 = default, c51 = default, c60 = default, c61 = default, c70 = default, c71 = default;
        Vector512<double> c80 = default, c81 = default, c90 = default, c91 = default, ca0 = default, ca1 = default, cb0 = default, cb1 = default;
        for (; depth > 0; depth--, x += Rows, b += Columns)
        {
            Vector512<double> b0 = Vector512.Load(b), b1 = Vector512.Load(b + 8), a;
            a = Vector512.Create(x[0]);
            (c00, c01) = (Vector512.FusedMultiplyAdd(a, b0, c00), Vector512.FusedMultiplyAdd(a, b1, c01));
            a = Vector512.Create(x[1]);
            (c10, c11) = (Vector512.FusedMultiplyAdd(a, b0, c10), Vector512.FusedMultiplyAdd(a, b1, c11));
            a = Vector512.Create(x[2]);
            (c20, c21) = (Vector512.FusedMultiplyAdd(a, b0, c20), Vector512.FusedMultiplyAdd(a, b1, c21));
            a = Vector512.Create(x[3]);
            (c30, c31) = (Vector512.FusedMultiplyAdd(a, b0, c30), Vector512.FusedMultiplyAdd(a, b1, c31));
            a = Vector512.Create(x[4]);
            (c40, c41) = (Vector512.FusedMultiplyAdd(a, b0, c40), Vector512.FusedMultiplyAdd(a, b1, c41));
            a = Vector512.Create(x[5]);
            (c50, c51) = (Vector512.FusedMultiplyAdd(a, b0, c50), Vector512.FusedMultiplyAdd(a, b1, c51));
            a = Vector512.Create(x[6]);
            (c60, c61) = (Vector512.FusedMultiplyAdd(a, b0, c60), Vector512.FusedMultiplyAdd(a, b1, c61));
            a = Vector512.Create(x[7]);
            (c70, c71) = (Vector512.FusedMultiplyAdd(a, b0, c70), Vector512.FusedMultiplyAdd(a, b1, c71));
            a = Vector512.Create(x[8]);
            (c80, c81) = (Vector512.FusedMultiplyAdd(a, b0, c80), Vector512.FusedMultiplyAdd(a, b1, c81));
            a = Vector512.Create(x[9]);
            (c90, c91) = (Vector512.FusedMultiplyAdd(a, b0, c90), Vector512.FusedMultiplyAdd(a, b1, c91));
            a = Vector512.Create(x[10]);
            (ca0, ca1) = (Vector512.FusedMultiplyAdd(a, b0, ca0), Vector512.FusedMultiplyAdd(a, b1, ca1));
            a = Vector512.Create(x[11]);
            (cb0, cb1) = (Vector512.FusedMultiplyAdd(a, b0, cb0), Vector512.FusedMultiplyAdd(a, b1, cb1));
        }
        c00.Store(tile); c01.Store(tile + 8); c10.Store(tile + 16); c11.Store(tile + 24);
        c20.Store(tile + 32); c21.Store(tile + 40); c30.Store(tile + 48); c31.Store(tile + 56);
        c40.Store(tile + 64); c41.Store(tile + 72); c50.Store(tile + 80); c51.Store(tile + 88);
        c60.Store(tile + 96); c61.Store(tile + 104); c70.Store(tile + 112); c71.Store(tile + 120);
        c80.Store(tile + 128); c81.Store(tile + 136); c90.Store(tile + 144); c91.Store(tile + 152);
        ca0.Store(tile + 160); ca1.Store(tile + 168); cb0.Store(tile + 176); cb1.Store(tile + 184);
    }

    // Four rows by two vectors, as sixteen registers allow.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Narrow(double* x, double* b, int depth, double* tile)
    {
        int lanes = Vector<double>.Count;
        for (int i = 0; i < Rows; i += 4)
            for (int j = 0; j < Columns; j += 2 * lanes)
            {
                Vector<double> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
                double* left = x + i, right = b + j;
                for (int k = 0; k < depth; k++, left += Rows, right += Columns)
                {
                    Vector<double> b0 = Vector.Load(right), b1 = Vector.Load(right + lanes), a = new(left[0]);
                    (c00, c01) = (Vector.FusedMultiplyAdd(a, b0, c00), Vector.FusedMultiplyAdd(a, b1, c01));
                    a = new(left[1]);
                    (c10, c11) = (Vector.FusedMultiplyAdd(a, b0, c10), Vector.FusedMultiplyAdd(a, b1, c11));
                    a = new(left[2]);
                    (c20, c21) = (Vector.FusedMultiplyAdd(a, b0, c20), Vector.FusedMultiplyAdd(a, b1, c21));
                    a = new(left[3]);
                    (c30, c31) = (Vector.FusedMultiplyAdd(a, b0, c30), Vector.FusedMultiplyAdd(a, b1, c31));
                }
                double* to = tile + i * Columns + j;
                c00.Store(to); c01.Store(to + lanes); to += Columns;
                c10.Store(to); c11.Store(to + lanes); to += Columns;
                c20.Store(to); c21.Store(to + lanes); to += Columns;
                c30.Store(to); c31.Store(to + lanes);
            }
    }
}
