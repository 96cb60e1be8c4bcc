using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Rows that <see cref="IntegerTile"/> computes at once, a constant to the compiler.</summary>
internal readonly struct FourRows : IRowCount
{
    public static int Rows => 4;
}

/// <inheritdoc cref="FourRows"/>
internal readonly struct TwoRows : IRowCount
{
    public static int Rows => 2;
}

/// <summary>
/// Up to six rounded rows times two vectors of outputs. A vector of codes is read once for all rows; a group's products are added up as integers, lane by lane,
/// and join the float sums with one multiplication of the scales:
/// <code>
/// sum += (scale of the output's group * scale of the row's group) * (code . q)  [- offset * (scale of the row's group * sum of q)]
/// </code>
/// Groups follow one another in the order of the inner dimension, so neither the tile's shape nor the width shows in the result. The float sums are in memory, in
/// the first cache: a group touches each once, and registers are left to the integers.
/// </summary>
internal static unsafe class IntegerTile
{
    /// <summary>Floats from one row of the sums to the next: the outputs of a panel.</summary>
    public const int Stride = IPanelDecoder.WideLanes;

    /// <summary>sums [rows][64] += <paramref name="groups"/> groups of x, from its first code on, times the panel.</summary>
    public static void Run<TR, TP, TD, TI, TX, TL, TV>(UnpackedPanel<TP> panel, int groups, Int8Pointers x, float* sums)
        where TR : struct, IRowCount where TP : struct, IIntegerPanels where TD : struct, IDotLanes<TI, TX, TV> where TI : struct where TX : struct where TL : struct, ILanes<TV> where TV : struct
    {
        for (int lane = 0; lane < Stride; lane += 2 * TL.Count)
            Vectors<TR, TP, TD, TI, TX, TL, TV>(panel, lane, groups, x, sums + lane);
    }

    // s{row}{vector} sum a group's products; rows past TR.Rows vanish when this is compiled.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Vectors<TR, TP, TD, TI, TX, TL, TV>(UnpackedPanel<TP> panel, int lane, int groups, Int8Pointers x, float* sums)
        where TR : struct, IRowCount where TP : struct, IIntegerPanels where TD : struct, IDotLanes<TI, TX, TV> where TI : struct where TX : struct where TL : struct, ILanes<TV> where TV : struct
    {
        sbyte* codes = panel.Codes + 4 * lane;
        nint stride = x.Stride, groupStride = stride / Int8Rows.Group;
        for (int group = 0; group < groups; group++)
        {
            int* bases = panel.Bases + group * Stride + lane;
            TI s00 = TD.Load(bases), s01 = TD.Load(bases + TL.Count), s10 = s00, s11 = s01, s20 = s00, s21 = s01, s30 = s00, s31 = s01, s40 = s00, s41 = s01, s50 = s00, s51 = s01;
            byte* q = x.Raised + group * TP.GroupSteps;
            for (int four = 0; four < TP.GroupSteps / 4; four++, q += 4, codes += 4 * Stride)
            {
                TI a = TD.Load(codes), b = TD.Load(codes + 4 * TL.Count);
                TX v = TD.Broadcast(q); s00 = TD.Dot(s00, v, a); s01 = TD.Dot(s01, v, b);
                v = TD.Broadcast(q + stride); s10 = TD.Dot(s10, v, a); s11 = TD.Dot(s11, v, b);
                if (TR.Rows > 2)
                {
                    v = TD.Broadcast(q + 2 * stride); s20 = TD.Dot(s20, v, a); s21 = TD.Dot(s21, v, b);
                    v = TD.Broadcast(q + 3 * stride); s30 = TD.Dot(s30, v, a); s31 = TD.Dot(s31, v, b);
                }
                if (TR.Rows > 4)
                {
                    v = TD.Broadcast(q + 4 * stride); s40 = TD.Dot(s40, v, a); s41 = TD.Dot(s41, v, b);
                    v = TD.Broadcast(q + 5 * stride); s50 = TD.Dot(s50, v, a); s51 = TD.Dot(s51, v, b);
                }
            }
            float* scales = panel.Scales + group * Stride + lane, offsets = panel.Offsets + group * Stride + lane;
            nint step = group * TP.GroupSteps;
            float* scale = x.Scales + step / Int8Rows.Group;
            TV w0 = TL.Load(scales), w1 = TL.Load(scales + TL.Count), o0 = default, o1 = default;
            if (TP.HasOffsets)
                (o0, o1) = (TL.Load(offsets), TL.Load(offsets + TL.Count));
            Join<TP, TL, TV>(w0, w1, o0, o1, TD.ToFloat(s00), TD.ToFloat(s01), scale, x.Sum<TP>(step), sums);
            Join<TP, TL, TV>(w0, w1, o0, o1, TD.ToFloat(s10), TD.ToFloat(s11), scale + groupStride, x.Sum<TP>(step + stride), sums + Stride);
            if (TR.Rows > 2)
            {
                Join<TP, TL, TV>(w0, w1, o0, o1, TD.ToFloat(s20), TD.ToFloat(s21), scale + 2 * groupStride, x.Sum<TP>(step + 2 * stride), sums + 2 * Stride);
                Join<TP, TL, TV>(w0, w1, o0, o1, TD.ToFloat(s30), TD.ToFloat(s31), scale + 3 * groupStride, x.Sum<TP>(step + 3 * stride), sums + 3 * Stride);
            }
            if (TR.Rows > 4)
            {
                Join<TP, TL, TV>(w0, w1, o0, o1, TD.ToFloat(s40), TD.ToFloat(s41), scale + 4 * groupStride, x.Sum<TP>(step + 4 * stride), sums + 4 * Stride);
                Join<TP, TL, TV>(w0, w1, o0, o1, TD.ToFloat(s50), TD.ToFloat(s51), scale + 5 * groupStride, x.Sum<TP>(step + 5 * stride), sums + 5 * Stride);
            }
        }
    }

    // A group's products of one row join the float sums.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Join<TP, TL, TV>(TV w0, TV w1, TV o0, TV o1, TV products0, TV products1, float* scale, float sum, float* sums)
        where TP : struct, IIntegerPanels where TL : struct, ILanes<TV> where TV : struct
    {
        TV s = TL.Broadcast(*scale), f0 = TL.MultiplyAdd(TL.Multiply(w0, s), products0, TL.Load(sums)), f1 = TL.MultiplyAdd(TL.Multiply(w1, s), products1, TL.Load(sums + TL.Count));
        if (TP.HasOffsets)
        {
            TV t = TL.Broadcast(sum);
            f0 = TL.MultiplyAdd(o0, t, f0);
            f1 = TL.MultiplyAdd(o1, t, f1);
        }
        TL.Store(f0, sums);
        TL.Store(f1, sums + TL.Count);
    }
}
