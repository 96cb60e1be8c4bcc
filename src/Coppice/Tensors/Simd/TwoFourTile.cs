using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>For a row alone.</summary>
internal readonly struct OneRow : IRowCount
{
    public static int Rows => 1;
}

/// <summary>
/// Panels of 32 outputs of which two of every four neighbouring steps are kept, as four bits less eight, w = (q - 8) scale; 64 steps a block.
/// <code>
/// 0     scales of steps 0 to 31, of steps 32 to 63    32 halves each
/// 128   places of steps 0 to 31                       32 lanes of 4 bytes: bits 2 i of byte k: where kept number k of steps 8 i to 8 i + 7 stood in its four
/// 256   places of steps 32 to 63
/// 384   codes kept of steps 0 to 7 (low four bits) and 32 to 39 (high): 32 lanes of 4 bytes, two of the first four steps, two of the others
/// 512   of steps 8 to 15 and 40 to 47 ...
/// </code>
/// </summary>
internal static class TwoFourPanels
{
    public const int Lanes = 32, Steps = 64, PlacesAt = 128, CodesAt = 384, Bytes = 896, VectorBytes = 4 * Lanes;
}

/// <summary>
/// Up to six rounded rows times two vectors of outputs of <see cref="TwoFourPanels"/>: each lane picks the activations that its kept weights meet, so that a zero costs
/// nothing. The instruction multiplies unsigned by signed bytes. For a row alone codes stay unsigned, and eight times the sum of the picked activations is taken away;
/// for more rows activations are raised by 128 instead, and 128 times the sum of the weights, which all rows share, is taken away. Both are exact.
/// The result has the bits that <see cref="IntegerTile"/> gives for the same weights with their zeros.
/// </summary>
internal static unsafe class TwoFourTile
{
    /// <summary>result [rows][32] = x [rows, inputs] times a panel; <paramref name="isFirst"/> says that nobody has read it yet.</summary>
    public static void Run<TR, TB, TI, TL, TV>(byte* panel, bool isFirst, int inputs, Int8Pointers x, float* result)
        where TR : struct, IRowCount where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
    {
        for (int lane = 0; lane < TwoFourPanels.Lanes; lane += 2 * TL.Count)
            Vectors<TR, TB, TI, TL, TV>(panel, lane, isFirst && lane == 0, inputs, x, result + lane);
    }

    // s{row}{vector} sum a group's products, f{row}{vector} the scaled groups; rows past TR.Rows vanish when this is compiled.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Vectors<TR, TB, TI, TL, TV>(byte* p, int lane, bool isFirst, int inputs, Int8Pointers x, float* result)
        where TR : struct, IRowCount where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
    {
        TV f00 = default, f01 = default, f10 = default, f11 = default, f20 = default, f21 = default, f30 = default, f31 = default, f40 = default, f41 = default, f50 = default, f51 = default;
        // Where two vectors are a panel the compiler knows the lanes.
        int l0 = 2 * TL.Count == TwoFourPanels.Lanes ? 0 : lane, l1 = l0 + TL.Count;
        float* result1 = result + TL.Count;
        nint stride = x.Stride, groupStride = stride / Int8Rows.Group;
        TI three = TB.Fill(3), fifteen = TB.Fill(15), eight = TB.Fill(8), bias = TB.Fill(128), second = TB.Fill32(0x04040000);
        for (int start = 0; start < inputs; start += TwoFourPanels.Steps, p += TwoFourPanels.Bytes)
        {
            for (int group = 0; group < 2; group++)
            {
                int step = start + group * Int8Rows.Group;
                TI shift = TB.Fill32(4 * group), base0 = default, base1 = default;
                TI s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default, s31 = default, s40 = default, s41 = default, s50 = default, s51 = default;
                TI places0 = TB.Load(p + TwoFourPanels.PlacesAt + group * TwoFourPanels.VectorBytes + 4 * l0);
                TI places1 = TB.Load(p + TwoFourPanels.PlacesAt + group * TwoFourPanels.VectorBytes + 4 * l1);
                byte* codes0 = p + TwoFourPanels.CodesAt + 4 * l0, codes1 = p + TwoFourPanels.CodesAt + 4 * l1;
                sbyte* q = x.Codes + step;
                for (int i = 0; i < 4; i++, q += 8, codes0 += TwoFourPanels.VectorBytes, codes1 += TwoFourPanels.VectorBytes)
                {
                    if (isFirst)
                        Prefetching.Piece(p, 4 * group + i, 8, TwoFourPanels.Bytes, Prefetching.Ahead);
                    TI which0 = TB.Or(TB.And(places0, three), second), which1 = TB.Or(TB.And(places1, three), second);
                    TI w0 = TB.And(TB.ShiftRight(TB.Load(codes0), shift), fifteen), w1 = TB.And(TB.ShiftRight(TB.Load(codes1), shift), fifteen);
                    places0 = TB.ShiftRight2(places0);
                    places1 = TB.ShiftRight2(places1);
                    if (TR.Rows == 1)
                    {
                        TI x0 = TB.Select(q, which0), x1 = TB.Select(q, which1);
                        s00 = TB.Dot(s00, w0, x0); s01 = TB.Dot(s01, w1, x1);
                        base0 = TB.Dot(base0, eight, x0); base1 = TB.Dot(base1, eight, x1);
                        continue;
                    }
                    w0 = TB.SubtractBytes(w0, eight);
                    w1 = TB.SubtractBytes(w1, eight);
                    base0 = TB.Dot(base0, bias, w0);
                    base1 = TB.Dot(base1, bias, w1);
                    s00 = TB.Dot(s00, TB.Xor(TB.Select(q, which0), bias), w0); s01 = TB.Dot(s01, TB.Xor(TB.Select(q, which1), bias), w1);
                    if (TR.Rows > 1)
                    {
                        s10 = TB.Dot(s10, TB.Xor(TB.Select(q + stride, which0), bias), w0); s11 = TB.Dot(s11, TB.Xor(TB.Select(q + stride, which1), bias), w1);
                    }
                    if (TR.Rows > 2)
                    {
                        s20 = TB.Dot(s20, TB.Xor(TB.Select(q + 2 * stride, which0), bias), w0); s21 = TB.Dot(s21, TB.Xor(TB.Select(q + 2 * stride, which1), bias), w1);
                        s30 = TB.Dot(s30, TB.Xor(TB.Select(q + 3 * stride, which0), bias), w0); s31 = TB.Dot(s31, TB.Xor(TB.Select(q + 3 * stride, which1), bias), w1);
                    }
                    if (TR.Rows > 4)
                    {
                        s40 = TB.Dot(s40, TB.Xor(TB.Select(q + 4 * stride, which0), bias), w0); s41 = TB.Dot(s41, TB.Xor(TB.Select(q + 4 * stride, which1), bias), w1);
                        s50 = TB.Dot(s50, TB.Xor(TB.Select(q + 5 * stride, which0), bias), w0); s51 = TB.Dot(s51, TB.Xor(TB.Select(q + 5 * stride, which1), bias), w1);
                    }
                }
                TV c0 = TL.LoadFiniteHalf((ushort*)p + group * TwoFourPanels.Lanes + l0), c1 = TL.LoadFiniteHalf((ushort*)p + group * TwoFourPanels.Lanes + l1);
                float* scale = x.Scales + step / Int8Rows.Group;
                TV s = TL.Broadcast(scale[0]);
                f00 = TL.MultiplyAdd(TL.Multiply(c0, s), TB.ToFloat(TB.Total(TB.SubtractSums(s00, base0))), f00);
                f01 = TL.MultiplyAdd(TL.Multiply(c1, s), TB.ToFloat(TB.Total(TB.SubtractSums(s01, base1))), f01);
                if (TR.Rows > 1)
                {
                    s = TL.Broadcast(scale[groupStride]);
                    f10 = TL.MultiplyAdd(TL.Multiply(c0, s), TB.ToFloat(TB.Total(TB.SubtractSums(s10, base0))), f10);
                    f11 = TL.MultiplyAdd(TL.Multiply(c1, s), TB.ToFloat(TB.Total(TB.SubtractSums(s11, base1))), f11);
                }
                if (TR.Rows > 2)
                {
                    s = TL.Broadcast(scale[2 * groupStride]);
                    f20 = TL.MultiplyAdd(TL.Multiply(c0, s), TB.ToFloat(TB.Total(TB.SubtractSums(s20, base0))), f20);
                    f21 = TL.MultiplyAdd(TL.Multiply(c1, s), TB.ToFloat(TB.Total(TB.SubtractSums(s21, base1))), f21);
                    s = TL.Broadcast(scale[3 * groupStride]);
                    f30 = TL.MultiplyAdd(TL.Multiply(c0, s), TB.ToFloat(TB.Total(TB.SubtractSums(s30, base0))), f30);
                    f31 = TL.MultiplyAdd(TL.Multiply(c1, s), TB.ToFloat(TB.Total(TB.SubtractSums(s31, base1))), f31);
                }
                if (TR.Rows > 4)
                {
                    s = TL.Broadcast(scale[4 * groupStride]);
                    f40 = TL.MultiplyAdd(TL.Multiply(c0, s), TB.ToFloat(TB.Total(TB.SubtractSums(s40, base0))), f40);
                    f41 = TL.MultiplyAdd(TL.Multiply(c1, s), TB.ToFloat(TB.Total(TB.SubtractSums(s41, base1))), f41);
                    s = TL.Broadcast(scale[5 * groupStride]);
                    f50 = TL.MultiplyAdd(TL.Multiply(c0, s), TB.ToFloat(TB.Total(TB.SubtractSums(s50, base0))), f50);
                    f51 = TL.MultiplyAdd(TL.Multiply(c1, s), TB.ToFloat(TB.Total(TB.SubtractSums(s51, base1))), f51);
                }
            }
        }

        TL.Store(f00, result); TL.Store(f01, result1);
        if (TR.Rows > 1)
        {
            TL.Store(f10, result + TwoFourPanels.Lanes); TL.Store(f11, result1 + TwoFourPanels.Lanes);
        }
        if (TR.Rows > 2)
        {
            TL.Store(f20, result + 2 * TwoFourPanels.Lanes); TL.Store(f21, result1 + 2 * TwoFourPanels.Lanes);
            TL.Store(f30, result + 3 * TwoFourPanels.Lanes); TL.Store(f31, result1 + 3 * TwoFourPanels.Lanes);
        }
        if (TR.Rows > 4)
        {
            TL.Store(f40, result + 4 * TwoFourPanels.Lanes); TL.Store(f41, result1 + 4 * TwoFourPanels.Lanes);
            TL.Store(f50, result + 5 * TwoFourPanels.Lanes); TL.Store(f51, result1 + 5 * TwoFourPanels.Lanes);
        }
    }
}
