using System.Runtime.CompilerServices;
using Coppice.Tensors.Simd;

namespace Coppice.Weights.Blocks;

/// <summary>
/// llama.cpp's Q4_1, w = scale q + min, 64 steps a block: as <see cref="Int4Panels{TS}"/>, with what is taken from the weights, -min, behind the scales.
/// <code>
/// 0     scales of steps 0 to 31, of steps 32 to 63    64 halves each
/// 256   offsets, likewise
/// 512   codes [8] rows of 64 lanes
/// </code>
/// </summary>
readonly unsafe struct Int4OffsetPanels : IIntegerPanels
{
    public const int CodesAt = 8 * IntegerPacking.Lanes;

    public static int BlockSteps => 64;

    public static int BlockBytes => CodesAt + 32 * IntegerPacking.Lanes;

    public static bool Signed => false;

    public static bool HasOffsets => true;

    public static int Shift(int group) => 4 * group;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + group * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + (2 + group) * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Subtract(TL.Multiply(scale, Nibbles.Load<TL, TV>(block + CodesAt, step, lane)), offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        Nibbles.Codes<TB, TI, TV>(block + CodesAt, four, lane, shift);
}

/// <summary>
/// llama.cpp's Q5_0, w = (q - 16) scale, 64 steps a block.
/// <code>
/// 0     scales of steps 0 to 31, of steps 32 to 63    64 halves each
/// 256   fifth bits [2] rows of 64 lanes of 4 bytes: bit f of byte j is that of step 4 f + j of 32
/// 768   low four bits [8] rows of 64 lanes
/// </code>
/// </summary>
readonly unsafe struct Int5Panels : IIntegerPanels
{
    public const int HighAt = 4 * IntegerPacking.Lanes, CodesAt = HighAt + 8 * IntegerPacking.Lanes, Middle = 16;

    public static int BlockSteps => 64;

    public static int BlockBytes => CodesAt + 32 * IntegerPacking.Lanes;

    public static bool Signed => false;

    public static int SumFours => 4;

    public static bool HasOffsets => true;

    public static int Shift(int group) => 4 * group;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + group * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(Scale<TL, TV>(block, group, lane, default), TL.Broadcast(Middle));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.Subtract(FiveBits.Load<TL, TV>(block + HighAt, block + CodesAt, step, lane), TL.Broadcast(Middle)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        FiveBits.Codes<TB, TI, TV>(block + HighAt, block + CodesAt, group, four, lane, shift);
}

/// <summary>llama.cpp's Q5_1, w = scale q + min, 64 steps a block: scales and offsets as in <see cref="Int4OffsetPanels"/>, then from byte 512 on bits as in <see cref="Int5Panels"/>.</summary>
readonly unsafe struct Int5OffsetPanels : IIntegerPanels
{
    public const int HighAt = 8 * IntegerPacking.Lanes, CodesAt = HighAt + 8 * IntegerPacking.Lanes;

    public static int BlockSteps => 64;

    public static int BlockBytes => CodesAt + 32 * IntegerPacking.Lanes;

    public static bool Signed => false;

    public static int SumFours => 4;

    public static bool HasOffsets => true;

    public static int Shift(int group) => 4 * group;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        Int4OffsetPanels.Scale<TL, TV>(block, group, lane, blockScale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct =>
        Int4OffsetPanels.Offset<TL, TV>(block, group, lane, blockOffset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Subtract(TL.Multiply(scale, FiveBits.Load<TL, TV>(block + HighAt, block + CodesAt, step, lane)), offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        FiveBits.Codes<TB, TI, TV>(block + HighAt, block + CodesAt, group, four, lane, shift);
}

/// <summary>Codes of 64 steps whose low four bits are <see cref="Nibbles"/>, and whose fifth ones lie in a row of lanes for each 32 steps.</summary>
static unsafe class FiveBits
{
    /// <summary>The codes of one step, 0 to 63, as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* highs, byte* codes, int step, int lane) where TL : struct, ILanes<TV> where TV : struct
    {
        TV high = TL.LoadBits((int*)highs + step / 32 * IntegerPacking.Lanes + lane, step % 4 * 8 + step % 32 / 4, 1);
        return TL.MultiplyAdd(high, TL.Broadcast(16), Nibbles.Load<TL, TV>(codes, step, lane));
    }

    /// <summary>The codes of four steps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* highs, byte* codes, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct
    {
        TI high = TB.And(TB.ShiftRight(TB.Load(highs + (group * IntegerPacking.Lanes + lane) * 4), TB.Fill32(four)), TB.Fill(1));
        return TB.Or(Nibbles.Codes<TB, TI, TV>(codes, four, lane, shift), TB.ShiftLeft(high, 4));
    }
}
