using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Where the left operand of a <see cref="StridedTile"/> has its next row and its next inner step, in floats: constants to the compiler.</summary>
internal interface ITileLeft
{
    static abstract int Row { get; }

    static abstract int Step { get; }
}

/// <summary>[inner step][32 rows].</summary>
internal readonly struct RowsInLanes : ITileLeft
{
    public static int Row => 1;

    public static int Step => StridedTile.Columns;
}

/// <summary>[row][32 inner steps].</summary>
internal readonly struct StepsInLanes : ITileLeft
{
    public static int Row => StridedTile.Columns;

    public static int Step => 1;
}

/// <summary>
/// A product's tile of 8 rows by 32 columns whose operands are taken where they lie: what attention needs, whose matrices are small and used once,
/// so that packing them would cost as much as the product. As in <see cref="MicroKernel"/> a lane is a column and takes its products in order.
/// </summary>
internal static unsafe class StridedTile
{
    /// <summary>Rows of the tile.</summary>
    public const int Rows = 8;

    /// <summary>Columns of the tile.</summary>
    public const int Columns = 32;

    /// <summary>c [8, 32] = or += left [8, k] x right [k, 32]; rows of right are <paramref name="rightStep"/> floats apart, those of c <paramref name="ldc"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TLeft, TL, TV>(int k, float* left, float* right, int rightStep, float* c, int ldc, Accumulate mode)
        where TLeft : struct, ITileLeft where TL : struct, ILanes<TV> where TV : struct
    {
        for (int column = 0; column < Columns; column += 2 * TL.Count)
        {
            if (TL.Count == MicroKernel.PanelColumns)
            {
                Part<TLeft, EightRows, TL, TV>(k, left, right + column, rightStep, c + column, ldc, mode);
                continue;
            }
            Part<TLeft, FourRows, TL, TV>(k, left, right + column, rightStep, c + column, ldc, mode);
            Part<TLeft, FourRows, TL, TV>(k, left + 4 * TLeft.Row, right + column, rightStep, c + column + (nint)4 * ldc, ldc, mode);
        }
    }

    /// <summary>The same for a tile of which only some rows and columns are in c; <paramref name="edge"/> has room for a whole one.</summary>
    public static void Multiply<TLeft, TL, TV>(int k, float* left, float* right, int rightStep, float* c, int ldc, Accumulate mode, int rows, int columns, float* edge)
        where TLeft : struct, ITileLeft where TL : struct, ILanes<TV> where TV : struct
    {
        if (rows >= Rows && columns >= Columns)
        {
            Multiply<TLeft, TL, TV>(k, left, right, rightStep, c, ldc, mode);
            return;
        }
        rows = Math.Min(rows, Rows);
        columns = Math.Min(columns, Columns);
        for (int row = 0; row < rows && mode == Accumulate.Add; row++)
            new ReadOnlySpan<float>(c + (nint)row * ldc, columns).CopyTo(new Span<float>(edge + row * Columns, columns));
        Multiply<TLeft, TL, TV>(k, left, right, rightStep, edge, Columns, mode);
        for (int row = 0; row < rows; row++)
            new ReadOnlySpan<float>(edge + row * Columns, columns).CopyTo(new Span<float>(c + (nint)row * ldc, columns));
    }

    // c{row}{vector}; the rows past TR.Rows vanish when this is compiled.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Part<TLeft, TR, TL, TV>(int k, float* left, float* right, nint rightStep, float* c, nint ldc, Accumulate mode)
        where TLeft : struct, ITileLeft where TR : struct, IRowCount where TL : struct, ILanes<TV> where TV : struct
    {
        TV c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        TV c40 = default, c41 = default, c50 = default, c51 = default, c60 = default, c61 = default, c70 = default, c71 = default;
        if (mode == Accumulate.Add)
        {
            float* p = c;
            c00 = TL.Load(p); c01 = TL.Load(p + TL.Count); p += ldc;
            c10 = TL.Load(p); c11 = TL.Load(p + TL.Count); p += ldc;
            c20 = TL.Load(p); c21 = TL.Load(p + TL.Count); p += ldc;
            c30 = TL.Load(p); c31 = TL.Load(p + TL.Count); p += ldc;
            if (TR.Rows > 4)
            {
                c40 = TL.Load(p); c41 = TL.Load(p + TL.Count); p += ldc;
                c50 = TL.Load(p); c51 = TL.Load(p + TL.Count); p += ldc;
                c60 = TL.Load(p); c61 = TL.Load(p + TL.Count); p += ldc;
                c70 = TL.Load(p); c71 = TL.Load(p + TL.Count);
            }
        }

        for (; k > 0; k--)
        {
            TV b0 = TL.Load(right), b1 = TL.Load(right + TL.Count);
            TV a = TL.Broadcast(left[0]); c00 = TL.MultiplyAdd(a, b0, c00); c01 = TL.MultiplyAdd(a, b1, c01);
            a = TL.Broadcast(left[TLeft.Row]); c10 = TL.MultiplyAdd(a, b0, c10); c11 = TL.MultiplyAdd(a, b1, c11);
            a = TL.Broadcast(left[2 * TLeft.Row]); c20 = TL.MultiplyAdd(a, b0, c20); c21 = TL.MultiplyAdd(a, b1, c21);
            a = TL.Broadcast(left[3 * TLeft.Row]); c30 = TL.MultiplyAdd(a, b0, c30); c31 = TL.MultiplyAdd(a, b1, c31);
            if (TR.Rows > 4)
            {
                a = TL.Broadcast(left[4 * TLeft.Row]); c40 = TL.MultiplyAdd(a, b0, c40); c41 = TL.MultiplyAdd(a, b1, c41);
                a = TL.Broadcast(left[5 * TLeft.Row]); c50 = TL.MultiplyAdd(a, b0, c50); c51 = TL.MultiplyAdd(a, b1, c51);
                a = TL.Broadcast(left[6 * TLeft.Row]); c60 = TL.MultiplyAdd(a, b0, c60); c61 = TL.MultiplyAdd(a, b1, c61);
                a = TL.Broadcast(left[7 * TLeft.Row]); c70 = TL.MultiplyAdd(a, b0, c70); c71 = TL.MultiplyAdd(a, b1, c71);
            }
            left += TLeft.Step;
            right += rightStep;
        }

        TL.Store(c00, c); TL.Store(c01, c + TL.Count); c += ldc;
        TL.Store(c10, c); TL.Store(c11, c + TL.Count); c += ldc;
        TL.Store(c20, c); TL.Store(c21, c + TL.Count); c += ldc;
        TL.Store(c30, c); TL.Store(c31, c + TL.Count); c += ldc;
        if (TR.Rows > 4)
        {
            TL.Store(c40, c); TL.Store(c41, c + TL.Count); c += ldc;
            TL.Store(c50, c); TL.Store(c51, c + TL.Count); c += ldc;
            TL.Store(c60, c); TL.Store(c61, c + TL.Count); c += ldc;
            TL.Store(c70, c); TL.Store(c71, c + TL.Count);
        }
    }

    /// <summary>For 32 vector registers: 16 accumulators.</summary>
    readonly struct EightRows : IRowCount
    {
        public static int Rows => StridedTile.Rows;
    }

    /// <summary>For 16 vector registers: 8 accumulators.</summary>
    readonly struct FourRows : IRowCount
    {
        public static int Rows => StridedTile.Rows / 2;
    }
}
