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
/// Groups follow one another in the order of the inner dimension, so neither the tile's shape nor the width shows in the result.
/// </summary>
internal static unsafe class IntegerTile
{
    /// <summary>Floats from one row of the result to the next.</summary>
    public const int ResultStride = 2 * MicroKernel.PanelColumns;

    /// <summary>result [rows][32] = x [rows, inputs] times 32 outputs of the panels from <paramref name="output"/>, a multiple of 32, on; <paramref name="isFirst"/> says that nobody has read this panel yet.</summary>
    public static void Run<TR, TP, TB, TI, TL, TV>(PackedPanels<TP> panels, int output, bool isFirst, Int8Pointers x, float* result)
        where TR : struct, IRowCount where TP : struct, IIntegerPanels where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
    {
        byte* panel = panels.At(output, out int lane);
        for (int column = 0; column < ResultStride; column += 2 * TL.Count)
            Vectors<TR, TP, TB, TI, TL, TV>(panel, lane + column, isFirst && column == 0 ? TP.BlockBytes / (TP.BlockSteps / TP.GroupSteps) : 0, panels.Inputs, x, result + column);
    }

    // s{row}{vector} sum a group's products, f{row}{vector} the scaled groups; rows past TR.Rows vanish when this is compiled.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Vectors<TR, TP, TB, TI, TL, TV>(byte* p, int l0, int ahead, int inputs, Int8Pointers x, float* result)
        where TR : struct, IRowCount where TP : struct, IIntegerPanels where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
    {
        TV f00 = default, f01 = default, f10 = default, f11 = default, f20 = default, f21 = default, f30 = default, f31 = default, f40 = default, f41 = default, f50 = default, f51 = default;
        int l1 = l0 + TL.Count;
        float* result1 = result + TL.Count;
        nint stride = x.Stride, groupStride = stride / Int8Rows.Group;
        for (int start = 0; start < inputs; start += TP.BlockSteps, p += TP.BlockBytes)
        {
            TV d0 = TP.BlockScale<TL, TV>(p, l0), d1 = TP.BlockScale<TL, TV>(p, l1), e0 = TP.BlockOffset<TL, TV>(p, l0), e1 = TP.BlockOffset<TL, TV>(p, l1);
            for (int group = 0; group < TP.BlockSteps / TP.GroupSteps; group++)
            {
                int step = start + group * TP.GroupSteps;
                if (ahead != 0)
                    Prefetching.Run(p + group * ahead, ahead);
                TI shift = TB.Fill32(TP.Shift(group));
                TI s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default, s31 = default, s40 = default, s41 = default, s50 = default, s51 = default;
                if (TP.Signed)
                {
                    short* q = x.Wide + step;
                    for (int four = 0; four < TP.GroupSteps / 4; four++, q += 4)
                    {
                        TI a = TP.Codes<TB, TI, TV>(p, group, four, l0, shift), b = TP.Codes<TB, TI, TV>(p, group, four, l1, shift);
                        TI a0 = TB.EvenBytes(a), a1 = TB.OddBytes(a), b0 = TB.EvenBytes(b), b1 = TB.OddBytes(b);
                        TI even = TB.Broadcast(q), odd = TB.Broadcast(q + 2);
                        s00 = TB.DotWide(TB.DotWide(s00, a0, even), a1, odd); s01 = TB.DotWide(TB.DotWide(s01, b0, even), b1, odd);
                        even = TB.Broadcast(q + stride); odd = TB.Broadcast(q + stride + 2);
                        s10 = TB.DotWide(TB.DotWide(s10, a0, even), a1, odd); s11 = TB.DotWide(TB.DotWide(s11, b0, even), b1, odd);
                        if (TR.Rows > 2)
                        {
                            even = TB.Broadcast(q + 2 * stride); odd = TB.Broadcast(q + 2 * stride + 2);
                            s20 = TB.DotWide(TB.DotWide(s20, a0, even), a1, odd); s21 = TB.DotWide(TB.DotWide(s21, b0, even), b1, odd);
                            even = TB.Broadcast(q + 3 * stride); odd = TB.Broadcast(q + 3 * stride + 2);
                            s30 = TB.DotWide(TB.DotWide(s30, a0, even), a1, odd); s31 = TB.DotWide(TB.DotWide(s31, b0, even), b1, odd);
                        }
                        if (TR.Rows > 4)
                        {
                            even = TB.Broadcast(q + 4 * stride); odd = TB.Broadcast(q + 4 * stride + 2);
                            s40 = TB.DotWide(TB.DotWide(s40, a0, even), a1, odd); s41 = TB.DotWide(TB.DotWide(s41, b0, even), b1, odd);
                            even = TB.Broadcast(q + 5 * stride); odd = TB.Broadcast(q + 5 * stride + 2);
                            s50 = TB.DotWide(TB.DotWide(s50, a0, even), a1, odd); s51 = TB.DotWide(TB.DotWide(s51, b0, even), b1, odd);
                        }
                    }
                }
                else
                {
                    sbyte* q = x.Codes + step;
                    if (TP.SumFours * 4 >= TP.GroupSteps)
                    {
                        for (int four = 0; four < TP.GroupSteps / 4; four++, q += 4)
                        {
                            TI a = TP.Codes<TB, TI, TV>(p, group, four, l0, shift), b = TP.Codes<TB, TI, TV>(p, group, four, l1, shift);
                            TI v = TB.Broadcast(q); s00 = TB.Dot(s00, a, v); s01 = TB.Dot(s01, b, v);
                            v = TB.Broadcast(q + stride); s10 = TB.Dot(s10, a, v); s11 = TB.Dot(s11, b, v);
                            if (TR.Rows > 2)
                            {
                                v = TB.Broadcast(q + 2 * stride); s20 = TB.Dot(s20, a, v); s21 = TB.Dot(s21, b, v);
                                v = TB.Broadcast(q + 3 * stride); s30 = TB.Dot(s30, a, v); s31 = TB.Dot(s31, b, v);
                            }
                            if (TR.Rows > 4)
                            {
                                v = TB.Broadcast(q + 4 * stride); s40 = TB.Dot(s40, a, v); s41 = TB.Dot(s41, b, v);
                                v = TB.Broadcast(q + 5 * stride); s50 = TB.Dot(s50, a, v); s51 = TB.Dot(s51, b, v);
                            }
                        }
                        s00 = TB.Total(s00); s01 = TB.Total(s01);
                        s10 = TB.Total(s10); s11 = TB.Total(s11);
                        if (TR.Rows > 2)
                        {
                            s20 = TB.Total(s20); s21 = TB.Total(s21);
                            s30 = TB.Total(s30); s31 = TB.Total(s31);
                        }
                        if (TR.Rows > 4)
                        {
                            s40 = TB.Total(s40); s41 = TB.Total(s41);
                            s50 = TB.Total(s50); s51 = TB.Total(s51);
                        }
                    }
                    else
                    {
                        for (int four = 0; four < TP.GroupSteps / 4; four += 2, q += 8)
                        {
                            TI a = TP.Codes<TB, TI, TV>(p, group, four, l0, shift), b = TP.Codes<TB, TI, TV>(p, group, four, l1, shift);
                            TI a1 = TP.Codes<TB, TI, TV>(p, group, four + 1, l0, shift), b1 = TP.Codes<TB, TI, TV>(p, group, four + 1, l1, shift);
                            TI v = TB.Broadcast(q), u = TB.Broadcast(q + 4); s00 = Pair<TB, TI, TV>(s00, a, a1, v, u); s01 = Pair<TB, TI, TV>(s01, b, b1, v, u);
                            v = TB.Broadcast(q + stride); u = TB.Broadcast(q + stride + 4); s10 = Pair<TB, TI, TV>(s10, a, a1, v, u); s11 = Pair<TB, TI, TV>(s11, b, b1, v, u);
                            if (TR.Rows > 2)
                            {
                                v = TB.Broadcast(q + 2 * stride); u = TB.Broadcast(q + 2 * stride + 4); s20 = Pair<TB, TI, TV>(s20, a, a1, v, u); s21 = Pair<TB, TI, TV>(s21, b, b1, v, u);
                                v = TB.Broadcast(q + 3 * stride); u = TB.Broadcast(q + 3 * stride + 4); s30 = Pair<TB, TI, TV>(s30, a, a1, v, u); s31 = Pair<TB, TI, TV>(s31, b, b1, v, u);
                            }
                            if (TR.Rows > 4)
                            {
                                v = TB.Broadcast(q + 4 * stride); u = TB.Broadcast(q + 4 * stride + 4); s40 = Pair<TB, TI, TV>(s40, a, a1, v, u); s41 = Pair<TB, TI, TV>(s41, b, b1, v, u);
                                v = TB.Broadcast(q + 5 * stride); u = TB.Broadcast(q + 5 * stride + 4); s50 = Pair<TB, TI, TV>(s50, a, a1, v, u); s51 = Pair<TB, TI, TV>(s51, b, b1, v, u);
                            }
                        }
                    }
                    if (TP.Zero != 0)
                    {
                        int* bias = TP.Zero == 8 ? x.Biases + step / Int8Rows.Group : x.Biases16 + step / 16;
                        nint biasStride = TP.Zero == 8 ? groupStride : 2 * groupStride;
                        TI t = TB.Broadcast(bias); s00 = TB.Add(s00, t); s01 = TB.Add(s01, t);
                        t = TB.Broadcast(bias + biasStride); s10 = TB.Add(s10, t); s11 = TB.Add(s11, t);
                        if (TR.Rows > 2)
                        {
                            t = TB.Broadcast(bias + 2 * biasStride); s20 = TB.Add(s20, t); s21 = TB.Add(s21, t);
                            t = TB.Broadcast(bias + 3 * biasStride); s30 = TB.Add(s30, t); s31 = TB.Add(s31, t);
                        }
                        if (TR.Rows > 4)
                        {
                            t = TB.Broadcast(bias + 4 * biasStride); s40 = TB.Add(s40, t); s41 = TB.Add(s41, t);
                            t = TB.Broadcast(bias + 5 * biasStride); s50 = TB.Add(s50, t); s51 = TB.Add(s51, t);
                        }
                    }
                }
                TV w0 = TP.Scale<TL, TV>(p, group, l0, d0), w1 = TP.Scale<TL, TV>(p, group, l1, d1);
                float* scale = x.Scales + step / Int8Rows.Group;
                TV s = TL.Broadcast(scale[0]);
                f00 = TL.MultiplyAdd(TL.Multiply(w0, s), TB.ToFloat(s00), f00); f01 = TL.MultiplyAdd(TL.Multiply(w1, s), TB.ToFloat(s01), f01);
                s = TL.Broadcast(scale[groupStride]);
                f10 = TL.MultiplyAdd(TL.Multiply(w0, s), TB.ToFloat(s10), f10); f11 = TL.MultiplyAdd(TL.Multiply(w1, s), TB.ToFloat(s11), f11);
                if (TR.Rows > 2)
                {
                    s = TL.Broadcast(scale[2 * groupStride]);
                    f20 = TL.MultiplyAdd(TL.Multiply(w0, s), TB.ToFloat(s20), f20); f21 = TL.MultiplyAdd(TL.Multiply(w1, s), TB.ToFloat(s21), f21);
                    s = TL.Broadcast(scale[3 * groupStride]);
                    f30 = TL.MultiplyAdd(TL.Multiply(w0, s), TB.ToFloat(s30), f30); f31 = TL.MultiplyAdd(TL.Multiply(w1, s), TB.ToFloat(s31), f31);
                }
                if (TR.Rows > 4)
                {
                    s = TL.Broadcast(scale[4 * groupStride]);
                    f40 = TL.MultiplyAdd(TL.Multiply(w0, s), TB.ToFloat(s40), f40); f41 = TL.MultiplyAdd(TL.Multiply(w1, s), TB.ToFloat(s41), f41);
                    s = TL.Broadcast(scale[5 * groupStride]);
                    f50 = TL.MultiplyAdd(TL.Multiply(w0, s), TB.ToFloat(s50), f50); f51 = TL.MultiplyAdd(TL.Multiply(w1, s), TB.ToFloat(s51), f51);
                }
                if (TP.HasOffsets)
                {
                    TV o0 = TP.Offset<TL, TV>(p, group, l0, e0), o1 = TP.Offset<TL, TV>(p, group, l1, e1);
                    float* sum = x.Sums + step / Int8Rows.Group;
                    s = TL.Broadcast(sum[0]); f00 = TL.MultiplyAdd(o0, s, f00); f01 = TL.MultiplyAdd(o1, s, f01);
                    s = TL.Broadcast(sum[groupStride]); f10 = TL.MultiplyAdd(o0, s, f10); f11 = TL.MultiplyAdd(o1, s, f11);
                    if (TR.Rows > 2)
                    {
                        s = TL.Broadcast(sum[2 * groupStride]); f20 = TL.MultiplyAdd(o0, s, f20); f21 = TL.MultiplyAdd(o1, s, f21);
                        s = TL.Broadcast(sum[3 * groupStride]); f30 = TL.MultiplyAdd(o0, s, f30); f31 = TL.MultiplyAdd(o1, s, f31);
                    }
                    if (TR.Rows > 4)
                    {
                        s = TL.Broadcast(sum[4 * groupStride]); f40 = TL.MultiplyAdd(o0, s, f40); f41 = TL.MultiplyAdd(o1, s, f41);
                        s = TL.Broadcast(sum[5 * groupStride]); f50 = TL.MultiplyAdd(o0, s, f50); f51 = TL.MultiplyAdd(o1, s, f51);
                    }
                }
            }
        }

        TL.Store(f00, result); TL.Store(f01, result1);
        TL.Store(f10, result + ResultStride); TL.Store(f11, result1 + ResultStride);
        if (TR.Rows > 2)
        {
            TL.Store(f20, result + 2 * ResultStride); TL.Store(f21, result1 + 2 * ResultStride);
            TL.Store(f30, result + 3 * ResultStride); TL.Store(f31, result1 + 3 * ResultStride);
        }
        if (TR.Rows > 4)
        {
            TL.Store(f40, result + 4 * ResultStride); TL.Store(f41, result1 + 4 * ResultStride);
            TL.Store(f50, result + 5 * ResultStride); TL.Store(f51, result1 + 5 * ResultStride);
        }
    }

    // sum plus the products of eight steps, as many as 16 bits hold of large codes.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TI Pair<TB, TI, TV>(TI sum, TI first, TI second, TI v, TI u) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.Add(sum, TB.Total(TB.Dot(TB.Dot(default, first, v), second, u)));
}
