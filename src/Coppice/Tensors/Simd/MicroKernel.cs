using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Rows that one call of the micro-kernel computes, a constant to the compiler.</summary>
internal interface IRowCount
{
    static abstract int Rows { get; }
}

/// <summary>For 32 vector registers: 24 accumulators.</summary>
internal readonly struct TwelveRows : IRowCount
{
    public static int Rows => MicroKernel.PanelRows;
}

/// <summary>For 16 vector registers: 12 accumulators.</summary>
internal readonly struct SixRows : IRowCount
{
    public static int Rows => MicroKernel.HalfRows;
}

/// <summary>
/// The inner loop of every product: a tile of C, up to 12 rows by two vectors, in registers. Each lane is one column of C and takes its products
/// in the order of the inner dimension, one fused multiply-add each, so the tile's shape never shows in the result.
/// </summary>
internal static unsafe class MicroKernel
{
    /// <summary>Rows of a packed left panel.</summary>
    public const int PanelRows = 12;

    /// <summary>Rows of the kernel for 16 vector registers.</summary>
    public const int HalfRows = 6;

    /// <summary>Columns of a packed right panel.</summary>
    public const int PanelColumns = 16;

    /// <summary>
    /// Two tiles [12, 16] of C = or += left panel [k][12] x right panel [k][16] each. C's rows are <paramref name="ldc"/> floats apart; with
    /// <paramref name="rows"/> up to 6 only the first 6 rows are computed.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile<TL, TV>(int k, float* left, float* right0, float* right1, float* c0, float* c1, int ldc, int rows, Accumulate mode)
        where TL : struct, ILanes<TV> where TV : struct
    {
        // Two vectors side by side: one of each panel at 512 bits, neighbours in a panel below.
        for (int column = 0; column < 2 * PanelColumns; column += 2 * TL.Count)
        {
            int next = column + TL.Count, first = column % PanelColumns, second = next % PanelColumns;
            float* b0 = (column < PanelColumns ? right0 : right1) + first, b1 = (next < PanelColumns ? right0 : right1) + second;
            float* t0 = (column < PanelColumns ? c0 : c1) + first, t1 = (next < PanelColumns ? c0 : c1) + second;
            if (TL.Count == PanelColumns && rows > HalfRows)
            {
                Columns<TwelveRows, TL, TV>(k, left, b0, b1, t0, t1, ldc, mode);
                continue;
            }
            Columns<SixRows, TL, TV>(k, left, b0, b1, t0, t1, ldc, mode);
            if (rows > HalfRows)
                Columns<SixRows, TL, TV>(k, left + HalfRows, b0, b1, t0 + HalfRows * ldc, t1 + HalfRows * ldc, ldc, mode);
        }
    }

    // c{row}{vector}, of the tiles c and d; the rows past TR.Rows vanish when this is compiled.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Columns<TR, TL, TV>(int k, float* left, float* right0, float* right1, float* c, float* d, int ldc, Accumulate mode)
        where TR : struct, IRowCount where TL : struct, ILanes<TV> where TV : struct
    {
        TV c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        TV c40 = default, c41 = default, c50 = default, c51 = default, c60 = default, c61 = default, c70 = default, c71 = default;
        TV c80 = default, c81 = default, c90 = default, c91 = default, ca0 = default, ca1 = default, cb0 = default, cb1 = default;
        if (mode == Accumulate.Add)
        {
            float* p = c, q = d;
            c00 = TL.Load(p); c01 = TL.Load(q); p += ldc; q += ldc;
            c10 = TL.Load(p); c11 = TL.Load(q); p += ldc; q += ldc;
            c20 = TL.Load(p); c21 = TL.Load(q); p += ldc; q += ldc;
            c30 = TL.Load(p); c31 = TL.Load(q); p += ldc; q += ldc;
            c40 = TL.Load(p); c41 = TL.Load(q); p += ldc; q += ldc;
            c50 = TL.Load(p); c51 = TL.Load(q); p += ldc; q += ldc;
            if (TR.Rows > 6)
            {
                c60 = TL.Load(p); c61 = TL.Load(q); p += ldc; q += ldc;
                c70 = TL.Load(p); c71 = TL.Load(q); p += ldc; q += ldc;
                c80 = TL.Load(p); c81 = TL.Load(q); p += ldc; q += ldc;
                c90 = TL.Load(p); c91 = TL.Load(q); p += ldc; q += ldc;
                ca0 = TL.Load(p); ca1 = TL.Load(q); p += ldc; q += ldc;
                cb0 = TL.Load(p); cb1 = TL.Load(q);
            }
        }

        for (; k > 0; k--)
        {
            TV b0 = TL.Load(right0), b1 = TL.Load(right1);
            TV a = TL.Broadcast(left[0]); c00 = TL.MultiplyAdd(a, b0, c00); c01 = TL.MultiplyAdd(a, b1, c01);
            a = TL.Broadcast(left[1]); c10 = TL.MultiplyAdd(a, b0, c10); c11 = TL.MultiplyAdd(a, b1, c11);
            a = TL.Broadcast(left[2]); c20 = TL.MultiplyAdd(a, b0, c20); c21 = TL.MultiplyAdd(a, b1, c21);
            a = TL.Broadcast(left[3]); c30 = TL.MultiplyAdd(a, b0, c30); c31 = TL.MultiplyAdd(a, b1, c31);
            a = TL.Broadcast(left[4]); c40 = TL.MultiplyAdd(a, b0, c40); c41 = TL.MultiplyAdd(a, b1, c41);
            a = TL.Broadcast(left[5]); c50 = TL.MultiplyAdd(a, b0, c50); c51 = TL.MultiplyAdd(a, b1, c51);
            if (TR.Rows > 6)
            {
                a = TL.Broadcast(left[6]); c60 = TL.MultiplyAdd(a, b0, c60); c61 = TL.MultiplyAdd(a, b1, c61);
                a = TL.Broadcast(left[7]); c70 = TL.MultiplyAdd(a, b0, c70); c71 = TL.MultiplyAdd(a, b1, c71);
                a = TL.Broadcast(left[8]); c80 = TL.MultiplyAdd(a, b0, c80); c81 = TL.MultiplyAdd(a, b1, c81);
                a = TL.Broadcast(left[9]); c90 = TL.MultiplyAdd(a, b0, c90); c91 = TL.MultiplyAdd(a, b1, c91);
                a = TL.Broadcast(left[10]); ca0 = TL.MultiplyAdd(a, b0, ca0); ca1 = TL.MultiplyAdd(a, b1, ca1);
                a = TL.Broadcast(left[11]); cb0 = TL.MultiplyAdd(a, b0, cb0); cb1 = TL.MultiplyAdd(a, b1, cb1);
            }
            left += PanelRows;
            right0 += PanelColumns;
            right1 += PanelColumns;
        }

        TL.Store(c00, c); TL.Store(c01, d); c += ldc; d += ldc;
        TL.Store(c10, c); TL.Store(c11, d); c += ldc; d += ldc;
        TL.Store(c20, c); TL.Store(c21, d); c += ldc; d += ldc;
        TL.Store(c30, c); TL.Store(c31, d); c += ldc; d += ldc;
        TL.Store(c40, c); TL.Store(c41, d); c += ldc; d += ldc;
        TL.Store(c50, c); TL.Store(c51, d); c += ldc; d += ldc;
        if (TR.Rows > 6)
        {
            TL.Store(c60, c); TL.Store(c61, d); c += ldc; d += ldc;
            TL.Store(c70, c); TL.Store(c71, d); c += ldc; d += ldc;
            TL.Store(c80, c); TL.Store(c81, d); c += ldc; d += ldc;
            TL.Store(c90, c); TL.Store(c91, d); c += ldc; d += ldc;
            TL.Store(ca0, c); TL.Store(ca1, d); c += ldc; d += ldc;
            TL.Store(cb0, c); TL.Store(cb1, d);
        }
    }
}
