using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>One rounded row times four vectors of outputs: <see cref="IntegerTile"/> turned by a quarter, so that enough sums are under way to hide an addition's latency.</summary>
internal static unsafe class IntegerRow
{
    /// <summary>Outputs that are computed at once.</summary>
    public const int Vectors = 4;

    /// <summary>result [4 vectors] = x [inputs] times outputs of the panel at <paramref name="p"/>, from <paramref name="lane"/>, a multiple of four vectors, on.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<TP, TB, TI, TL, TV>(byte* p, int lane, int inputs, Int8Pointers x, float* result)
        where TP : struct, IIntegerPanels where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
    {
        // Where a panel is as wide as four vectors the compiler knows the lanes.
        int l0 = Vectors * TL.Count == TP.Lanes ? 0 : lane, l1 = l0 + TL.Count, l2 = l1 + TL.Count, l3 = l2 + TL.Count;
        int slice = TP.BlockBytes / (TP.BlockSteps / TP.GroupSteps), fours = TP.GroupSteps / 4;
        TV f0 = default, f1 = default, f2 = default, f3 = default;
        for (int start = 0; start < inputs; start += TP.BlockSteps, p += TP.BlockBytes)
        {
            TV d0 = TP.BlockScale<TL, TV>(p, l0), d1 = TP.BlockScale<TL, TV>(p, l1), d2 = TP.BlockScale<TL, TV>(p, l2), d3 = TP.BlockScale<TL, TV>(p, l3);
            TV e0 = TP.BlockOffset<TL, TV>(p, l0), e1 = TP.BlockOffset<TL, TV>(p, l1), e2 = TP.BlockOffset<TL, TV>(p, l2), e3 = TP.BlockOffset<TL, TV>(p, l3);
            for (int group = 0; group < TP.BlockSteps / TP.GroupSteps; group++)
            {
                int step = start + group * TP.GroupSteps;
                TI shift = TB.Fill32(TP.Shift(group)), s0 = default, s1 = default, s2 = default, s3 = default;
                if (TP.Signed)
                {
                    short* q = x.Wide + step;
                    for (int four = 0; four < fours; four++, q += 4)
                    {
                        if (l0 == 0)
                            Prefetching.Piece(p + group * slice, four, fours, slice, TP.Ahead);
                        TI even = TB.Broadcast(q), odd = TB.Broadcast(q + 2);
                        TI a = TP.Codes<TB, TI, TV>(p, group, four, l0, shift), b = TP.Codes<TB, TI, TV>(p, group, four, l1, shift);
                        TI c = TP.Codes<TB, TI, TV>(p, group, four, l2, shift), d = TP.Codes<TB, TI, TV>(p, group, four, l3, shift);
                        s0 = TB.DotWide(TB.DotWide(s0, TB.EvenBytes(a), even), TB.OddBytes(a), odd);
                        s1 = TB.DotWide(TB.DotWide(s1, TB.EvenBytes(b), even), TB.OddBytes(b), odd);
                        s2 = TB.DotWide(TB.DotWide(s2, TB.EvenBytes(c), even), TB.OddBytes(c), odd);
                        s3 = TB.DotWide(TB.DotWide(s3, TB.EvenBytes(d), even), TB.OddBytes(d), odd);
                    }
                }
                else
                {
                    sbyte* q = x.Codes + step;
                    if (TP.IsParted(group))
                    {
                        for (int four = 0; four < fours; four++, q += 4)
                        {
                            if (l0 == 0)
                                Prefetching.Piece(p + group * slice, four, fours, slice, TP.Ahead);
                            TI v = TB.Broadcast(q);
                            s0 = TB.Dot(s0, TP.PartedCodes<TB, TI, TV>(p, group, four, l0, shift), v);
                            s1 = TB.Dot(s1, TP.PartedCodes<TB, TI, TV>(p, group, four, l1, shift), v);
                            s2 = TB.Dot(s2, TP.PartedCodes<TB, TI, TV>(p, group, four, l2, shift), v);
                            s3 = TB.Dot(s3, TP.PartedCodes<TB, TI, TV>(p, group, four, l3, shift), v);
                        }
                        (s0, s1, s2, s3) = (TB.Total(s0), TB.Total(s1), TB.Total(s2), TB.Total(s3));
                    }
                    else if (TP.SumFours * 4 >= TP.GroupSteps)
                    {
                        for (int four = 0; four < fours; four++, q += 4)
                        {
                            if (l0 == 0)
                                Prefetching.Piece(p + group * slice, four, fours, slice, TP.Ahead);
                            TI v = TB.Broadcast(q);
                            s0 = TB.Dot(s0, TP.Codes<TB, TI, TV>(p, group, four, l0, shift), v);
                            s1 = TB.Dot(s1, TP.Codes<TB, TI, TV>(p, group, four, l1, shift), v);
                            s2 = TB.Dot(s2, TP.Codes<TB, TI, TV>(p, group, four, l2, shift), v);
                            s3 = TB.Dot(s3, TP.Codes<TB, TI, TV>(p, group, four, l3, shift), v);
                        }
                        (s0, s1, s2, s3) = (TB.Total(s0), TB.Total(s1), TB.Total(s2), TB.Total(s3));
                    }
                    else
                    {
                        for (int four = 0; four < fours; four += 2, q += 8)
                        {
                            if (l0 == 0)
                                Prefetching.Piece(p + group * slice, four / 2, fours / 2, slice, TP.Ahead);
                            TI v = TB.Broadcast(q), u = TB.Broadcast(q + 4);
                            s0 = TB.Add(s0, Pair<TP, TB, TI, TV>(p, group, four, l0, shift, v, u));
                            s1 = TB.Add(s1, Pair<TP, TB, TI, TV>(p, group, four, l1, shift, v, u));
                            s2 = TB.Add(s2, Pair<TP, TB, TI, TV>(p, group, four, l2, shift, v, u));
                            s3 = TB.Add(s3, Pair<TP, TB, TI, TV>(p, group, four, l3, shift, v, u));
                        }
                    }
                    if (TP.Zero != 0)
                    {
                        TI bias = TB.Fill32(x.Bias<TP>(step));
                        (s0, s1, s2, s3) = (TB.Add(s0, bias), TB.Add(s1, bias), TB.Add(s2, bias), TB.Add(s3, bias));
                    }
                }
                TV scale = TL.Broadcast(x.Scales[step / Int8Rows.Group]);
                f0 = TL.MultiplyAdd(TL.Multiply(TP.Scale<TL, TV>(p, group, l0, d0), scale), TB.ToFloat(s0), f0);
                f1 = TL.MultiplyAdd(TL.Multiply(TP.Scale<TL, TV>(p, group, l1, d1), scale), TB.ToFloat(s1), f1);
                f2 = TL.MultiplyAdd(TL.Multiply(TP.Scale<TL, TV>(p, group, l2, d2), scale), TB.ToFloat(s2), f2);
                f3 = TL.MultiplyAdd(TL.Multiply(TP.Scale<TL, TV>(p, group, l3, d3), scale), TB.ToFloat(s3), f3);
                if (TP.HasOffsets)
                {
                    TV sum = TL.Broadcast(x.Sum<TP>(step));
                    f0 = TL.MultiplyAdd(TP.Offset<TL, TV>(p, group, l0, e0), sum, f0);
                    f1 = TL.MultiplyAdd(TP.Offset<TL, TV>(p, group, l1, e1), sum, f1);
                    f2 = TL.MultiplyAdd(TP.Offset<TL, TV>(p, group, l2, e2), sum, f2);
                    f3 = TL.MultiplyAdd(TP.Offset<TL, TV>(p, group, l3, e3), sum, f3);
                }
            }
        }
        TL.Store(f0, result);
        TL.Store(f1, result + TL.Count);
        TL.Store(f2, result + 2 * TL.Count);
        TL.Store(f3, result + 3 * TL.Count);
    }

    // Products of eight steps, as many as 16 bits hold of large codes.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TI Pair<TP, TB, TI, TV>(byte* block, int group, int four, int lane, TI shift, TI v, TI u)
        where TP : struct, IIntegerPanels where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.Total(TB.Dot(TB.Dot(default, TP.Codes<TB, TI, TV>(block, group, four, lane, shift), v), TP.Codes<TB, TI, TV>(block, group, four + 1, lane, shift), u));
}
