using System.Runtime.CompilerServices;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>Signed bytes, w = q scale. A block: 16 scales as halves, then 32 steps of 16 bytes.</summary>
readonly unsafe struct Int8Panels : IPanelDecoder
{
    public const int CodesAt = 2 * IntegerPacking.Lanes;

    public static int BlockSteps => IntegerPacking.Steps;

    public static int BlockBytes => CodesAt + IntegerPacking.Steps * IntegerPacking.Lanes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => TL.LoadHalf((ushort*)block + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.LoadInt8((sbyte*)block + CodesAt + step * IntegerPacking.Lanes + lane));
}

/// <summary>Four bits, w = (q - 8) scale. A block: 16 scales as halves, then 16 rows of 16 bytes, with step s in the low and step s + 16 in the high four bits.</summary>
readonly unsafe struct Int4Panels : IPanelDecoder
{
    public const int CodesAt = 2 * IntegerPacking.Lanes, Zero = 8;

    public static int BlockSteps => IntegerPacking.Steps;

    public static int BlockBytes => CodesAt + IntegerPacking.Steps / 2 * IntegerPacking.Lanes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => TL.LoadHalf((ushort*)block + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.Subtract(TL.LoadUInt4(block + CodesAt + step % 16 * IntegerPacking.Lanes + lane, step / 16 * 4), TL.Broadcast(Zero)));
}

/// <summary>Four bits with zero points, w = (q - zero) scale. A block: 16 scales as halves, 16 zero points as bytes, then the codes as in <see cref="Int4Panels"/>.</summary>
readonly unsafe struct Int4ZeroPanels : IPanelDecoder
{
    public const int ZerosAt = 2 * IntegerPacking.Lanes, CodesAt = ZerosAt + IntegerPacking.Lanes;

    public static int BlockSteps => IntegerPacking.Steps;

    public static int BlockBytes => CodesAt + IntegerPacking.Steps / 2 * IntegerPacking.Lanes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => TL.LoadHalf((ushort*)block + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.Subtract(
            TL.LoadUInt4(block + CodesAt + step % 16 * IntegerPacking.Lanes + lane, step / 16 * 4), TL.LoadInt8((sbyte*)block + ZerosAt + lane)));
}
