using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>
/// A few float32 rows times panels of a cache, which are read once and decoded in registers: c [rows][4 vectors] = or += left [rows][k] x right [k][4 vectors].
/// Each lane is one column and takes its products in the order of k, one fused multiply-add each: the bits of <see cref="MicroKernel"/>.
/// </summary>
internal static unsafe class CachedRows
{
    /// <summary>Vectors of columns that one call computes.</summary>
    public const int Vectors = 4;

    /// <summary>Rows that one call computes at most: 4 with 32 vector registers, 2 with 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int MostRows<TL, TV>() where TL : struct, ILanes<TV> where TV : struct => TL.Count == KeyValueBlock.Panel ? 4 : 2;

    /// <param name="rows">1 to <see cref="MostRows"/>.</param>
    /// <param name="k">Inner dimension.</param>
    /// <param name="left">Rows of k floats, <paramref name="lda"/> apart.</param>
    /// <param name="lda">Floats from one left row to the next.</param>
    /// <param name="r0">The first vector's column in a panel [k][16]; r1 to r3 those of the others.</param>
    /// <param name="r1">See r0.</param>
    /// <param name="r2">See r0.</param>
    /// <param name="r3">See r0.</param>
    /// <param name="ahead">Bytes from what is read to what is fetched meanwhile: decoding alone would not keep the memory busy.</param>
    /// <param name="c">Rows of four vectors.</param>
    /// <param name="ldc">Floats from one row of c to the next.</param>
    /// <param name="mode">Whether products go on from what c holds.</param>
    public static void Product<TN, TL, TV>(int rows, int k, float* left, int lda, byte* r0, byte* r1, byte* r2, byte* r3, nint ahead, float* c, int ldc, Accumulate mode)
        where TN : struct, IKeyValueNumbers where TL : struct, ILanes<TV> where TV : struct
    {
        switch (rows)
        {
            case 1:
                Product<One, TN, TL, TV>(k, left, lda, r0, r1, r2, r3, ahead, c, ldc, mode);
                break;
            case 2:
                Product<Two, TN, TL, TV>(k, left, lda, r0, r1, r2, r3, ahead, c, ldc, mode);
                break;
            case 3:
                Product<Three, TN, TL, TV>(k, left, lda, r0, r1, r2, r3, ahead, c, ldc, mode);
                break;
            default:
                Product<Four, TN, TL, TV>(k, left, lda, r0, r1, r2, r3, ahead, c, ldc, mode);
                break;
        }
    }

    // c{row}{vector}; the rows past TR.Rows vanish when this is compiled.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Product<TR, TN, TL, TV>(int k, float* left, int lda, byte* r0, byte* r1, byte* r2, byte* r3, nint ahead, float* c, int ldc, Accumulate mode)
        where TR : struct, IRowCount where TN : struct, IKeyValueNumbers where TL : struct, ILanes<TV> where TV : struct
    {
        TV c00 = default, c01 = default, c02 = default, c03 = default, c10 = default, c11 = default, c12 = default, c13 = default;
        TV c20 = default, c21 = default, c22 = default, c23 = default, c30 = default, c31 = default, c32 = default, c33 = default;
        if (mode == Accumulate.Add)
        {
            Load<TL, TV>(c, out c00, out c01, out c02, out c03);
            if (TR.Rows > 1)
                Load<TL, TV>(c + ldc, out c10, out c11, out c12, out c13);
            if (TR.Rows > 2)
                Load<TL, TV>(c + 2 * ldc, out c20, out c21, out c22, out c23);
            if (TR.Rows > 3)
                Load<TL, TV>(c + 3 * ldc, out c30, out c31, out c32, out c33);
        }
        float* a0 = left, a1 = a0 + lda, a2 = a1 + lda, a3 = a2 + lda;
        nint at = 0;
        for (int step = 0; step < k; step++, at += KeyValueBlock.Panel * TN.Bytes)
        {
            TV b0 = TN.Load<TL, TV>(r0 + at), b1 = TN.Load<TL, TV>(r1 + at), b2 = TN.Load<TL, TV>(r2 + at), b3 = TN.Load<TL, TV>(r3 + at);
            Fetch(r0 + at + ahead);
            Fetch(r1 + at + ahead);
            Fetch(r2 + at + ahead);
            Fetch(r3 + at + ahead);
            TV a = TL.Broadcast(a0[step]);
            c00 = TL.MultiplyAdd(a, b0, c00); c01 = TL.MultiplyAdd(a, b1, c01); c02 = TL.MultiplyAdd(a, b2, c02); c03 = TL.MultiplyAdd(a, b3, c03);
            if (TR.Rows > 1)
            {
                a = TL.Broadcast(a1[step]);
                c10 = TL.MultiplyAdd(a, b0, c10); c11 = TL.MultiplyAdd(a, b1, c11); c12 = TL.MultiplyAdd(a, b2, c12); c13 = TL.MultiplyAdd(a, b3, c13);
            }
            if (TR.Rows > 2)
            {
                a = TL.Broadcast(a2[step]);
                c20 = TL.MultiplyAdd(a, b0, c20); c21 = TL.MultiplyAdd(a, b1, c21); c22 = TL.MultiplyAdd(a, b2, c22); c23 = TL.MultiplyAdd(a, b3, c23);
            }
            if (TR.Rows > 3)
            {
                a = TL.Broadcast(a3[step]);
                c30 = TL.MultiplyAdd(a, b0, c30); c31 = TL.MultiplyAdd(a, b1, c31); c32 = TL.MultiplyAdd(a, b2, c32); c33 = TL.MultiplyAdd(a, b3, c33);
            }
        }
        Store<TL, TV>(c00, c01, c02, c03, c);
        if (TR.Rows > 1)
            Store<TL, TV>(c10, c11, c12, c13, c + ldc);
        if (TR.Rows > 2)
            Store<TL, TV>(c20, c21, c22, c23, c + 2 * ldc);
        if (TR.Rows > 3)
            Store<TL, TV>(c30, c31, c32, c33, c + 3 * ldc);
    }

    // A hint: an address that is not there does no harm.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Fetch(byte* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(address);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Store<TL, TV>(TV a, TV b, TV c, TV d, float* to) where TL : struct, ILanes<TV> where TV : struct
    {
        TL.Store(a, to);
        TL.Store(b, to + TL.Count);
        TL.Store(c, to + 2 * TL.Count);
        TL.Store(d, to + 3 * TL.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Load<TL, TV>(float* from, out TV a, out TV b, out TV c, out TV d) where TL : struct, ILanes<TV> where TV : struct =>
        (a, b, c, d) = (TL.Load(from), TL.Load(from + TL.Count), TL.Load(from + 2 * TL.Count), TL.Load(from + 3 * TL.Count));

    readonly struct One : IRowCount
    {
        public static int Rows => 1;
    }

    readonly struct Two : IRowCount
    {
        public static int Rows => 2;
    }

    readonly struct Three : IRowCount
    {
        public static int Rows => 3;
    }

    readonly struct Four : IRowCount
    {
        public static int Rows => 4;
    }
}
