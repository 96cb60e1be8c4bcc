using System.Runtime.CompilerServices;
using Coppice.Tensors.Simd;

namespace Coppice.Weights.Blocks;

/// <summary>
/// llama.cpp's Q4_K, w = d scale q - dmin min, 256 steps a block: its own bytes, four of each output side by side.
/// <code>
/// 0     d of 64 outputs, dmin of 64 outputs    halves
/// 256   scales [8 groups of 32 steps][64]      bytes, 0 to 63
/// 768   mins   [8][64]                         bytes, 0 to 63
/// 1280  codes  [4][8] rows of 64 lanes: of each 64 steps the first 32 in the low four bits, the others in the high ones
/// </code>
/// </summary>
readonly unsafe struct Q4KPanels : IIntegerPanels
{
    public const int ScalesAt = 4 * IntegerPacking.Lanes, MinsAt = ScalesAt + 8 * IntegerPacking.Lanes, CodesAt = MinsAt + 8 * IntegerPacking.Lanes, ChunkBytes = 8 * 4 * IntegerPacking.Lanes;

    public static int BlockSteps => 256;

    public static int BlockBytes => CodesAt + 4 * ChunkBytes;

    public static bool Signed => false;

    public static bool HasOffsets => true;

    public static int Shift(int group) => 4 * (group & 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockScale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => TL.LoadFiniteHalf((ushort*)block + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockOffset<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(blockScale, TL.LoadInt8((sbyte*)block + ScalesAt + group * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(blockOffset, TL.LoadInt8((sbyte*)block + MinsAt + group * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Subtract(TL.Multiply(scale, Nibbles.Load<TL, TV>(block + CodesAt + step / 64 * ChunkBytes, step % 64, lane)), offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        Nibbles.Codes<TB, TI, TV>(block + CodesAt + group / 2 * ChunkBytes, four, lane, shift);
}

/// <summary>
/// llama.cpp's Q6_K, w = d scale (q - 32), 256 steps a block: its own bytes, four of each output side by side. Of each 128 steps the low four bits of steps 0 to 63
/// lie in the low and those of steps 64 to 127 in the high half of 16 rows; the two high bits of steps 32 i to 32 i + 31 lie in bits 2 i of eight rows.
/// <code>
/// 0     d of 64 outputs                        halves, then 128 bytes unused
/// 256   scales [16 groups of 16 steps][64]     signed bytes
/// 1280  low bits [2][16] rows of 64 lanes
/// 9472  high bits [2][8] rows
/// </code>
/// </summary>
readonly unsafe struct Q6KPanels : IIntegerPanels
{
    public const int ScalesAt = 4 * IntegerPacking.Lanes, LowAt = ScalesAt + 16 * IntegerPacking.Lanes, HighAt = LowAt + 2 * 16 * VectorBytes, VectorBytes = 4 * IntegerPacking.Lanes;

    public static int BlockSteps => 256;

    public static int BlockBytes => HighAt + 2 * 8 * VectorBytes;

    public static int GroupSteps => 16;

    public static int Ahead => 2 * Prefetching.Ahead;

    public static bool Signed => false;

    public static int SumFours => 2;

    public static int Zero => 32;

    // The high bits are turned to where the low ones end.
    public static int Shift(int group) => (int)((uint)group % 8 / 2 * 2 + 28) % 32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockScale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => TL.LoadFiniteHalf((ushort*)block + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(blockScale, TL.LoadInt8((sbyte*)block + ScalesAt + group * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct
    {
        int half = step / 128, quarter = step % 128 / 32, four = step % 32 / 4, bits = step % 4 * 8;
        TV low = TL.LoadBits((int*)(block + LowAt + (half * 16 + quarter % 2 * 8 + four) * VectorBytes) + lane, bits + quarter / 2 * 4, 15);
        TV high = TL.LoadBits((int*)(block + HighAt + (half * 8 + four) * VectorBytes) + lane, bits + quarter * 2, 3);
        return TL.Multiply(scale, TL.Subtract(TL.MultiplyAdd(high, TL.Broadcast(16), low), TL.Broadcast(Zero)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct
    {
        // Unsigned, so that dividing is shifting; what does not depend on four leaves the loop over it.
        uint half = (uint)group / 8, quarter = (uint)group % 8 / 2, vector = (uint)group % 2 * 4;
        byte* lows = block + LowAt + (half * 16 + quarter % 2 * 8 + vector) * VectorBytes, highs = block + HighAt + (half * 8 + vector) * VectorBytes;
        // Low bits go to bits 0 to 3, high ones to bits 4 and 5 of their byte.
        TI low = TB.ShiftRight(TB.Load(lows + four * VectorBytes + 4 * lane), TB.Fill32((int)(quarter / 2 * 4)));
        TI high = TB.RotateRight(TB.Load(highs + four * VectorBytes + 4 * lane), shift);
        return TB.And(TB.Blend(TB.Fill(15), low, high), TB.Fill(63));
    }
}

/// <summary>
/// llama.cpp's Q5_K, w = d scale q - dmin min, 256 steps a block: as <see cref="Q4KPanels"/>, with the fifth bits behind.
/// <code>
/// 9472  high bits [8] rows of 64 lanes: bit g of the bytes of steps 4 f to 4 f + 3 of group g lies in row f
/// </code>
/// </summary>
readonly unsafe struct Q5KPanels : IIntegerPanels
{
    const int VectorBytes = 4 * IntegerPacking.Lanes;

    public static int HighAt => Q4KPanels.BlockBytes;

    public static int BlockSteps => 256;

    public static int BlockBytes => HighAt + 8 * VectorBytes;

    public static int Ahead => 2 * Prefetching.Ahead;

    public static bool Signed => false;

    public static int SumFours => 4;

    public static bool HasOffsets => true;

    public static int Shift(int group) => Q4KPanels.Shift(group);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockScale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => Q4KPanels.BlockScale<TL, TV>(block, lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockOffset<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => Q4KPanels.BlockOffset<TL, TV>(block, lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct => Q4KPanels.Scale<TL, TV>(block, group, lane, blockScale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct => Q4KPanels.Offset<TL, TV>(block, group, lane, blockOffset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct
    {
        TV low = Nibbles.Load<TL, TV>(block + Q4KPanels.CodesAt + step / 64 * Q4KPanels.ChunkBytes, step % 64, lane);
        TV high = TL.LoadBits((int*)(block + HighAt + step % 32 / 4 * VectorBytes) + lane, step % 4 * 8 + step / 32, 1);
        return TL.Subtract(TL.Multiply(scale, TL.MultiplyAdd(high, TL.Broadcast(16), low)), offset);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct
    {
        TI high = TB.And(TB.ShiftRight(TB.Load(block + HighAt + four * VectorBytes + 4 * lane), TB.Fill32(group)), TB.Fill(1));
        return TB.Or(Q4KPanels.Codes<TB, TI, TV>(block, group, four, lane, shift), TB.ShiftLeft(high, 4));
    }
}

/// <summary>
/// llama.cpp's Q3_K, w = d scale (q - 4), 256 steps a block: four codes of each output side by side, in bits where most of them are whole.
/// <code>
/// 0     d of 64 outputs                        halves, then 128 bytes unused
/// 256   scales [16 groups of 16 steps][64]     signed bytes
/// 1280  codes [24] rows of 64 lanes
///       bits 0 to 2 of rows 4 g to 4 g + 3             group g, 0 to 5
///       bits 3 to 5                                    group 8 + g
///       bits 6 and 7 of rows 4 i to 4 i + 3            the low two bits of groups 6, 7, 14 and 15, i from 0 to 3
///       bits 6 and 7 of rows 16 to 19, of 20 to 23     the high bits of groups 6 and 7, of 14 and 15
/// </code>
/// </summary>
readonly unsafe struct Q3KPanels : IIntegerPanels
{
    public const int ScalesAt = 4 * IntegerPacking.Lanes, CodesAt = ScalesAt + 16 * IntegerPacking.Lanes, VectorBytes = 4 * IntegerPacking.Lanes;

    const int Middle = 4;

    public static int BlockSteps => 256;

    public static int BlockBytes => CodesAt + 24 * VectorBytes;

    public static int GroupSteps => 16;

    public static int Ahead => 2 * Prefetching.Ahead;

    public static bool Signed => false;

    public static int Zero => Middle;

    public static int Shift(int group) => IsParted(group) ? 6 : 3 * (group / 8);

    public static bool IsParted(int group) => (group & 6) == 6;

    /// <summary>The first of the four rows that hold a group's codes, or their low two bits.</summary>
    public static int Row(int group) => IsParted(group) ? 4 * Parted(group) : 4 * (group & 7);

    /// <summary>The first of the four rows that hold the high bits of a group that is parted, and which bits.</summary>
    public static (int Row, int Bit) High(int group) => (16 + 4 * (group >> 3), 6 + (group & 1));

    // Which one of those that are parted.
    static int Parted(int group) => group >> 3 << 1 | group & 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockScale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => TL.LoadFiniteHalf((ushort*)block + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(blockScale, TL.LoadInt8((sbyte*)block + ScalesAt + group * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct
    {
        int group = step / 16, four = step % 16 / 4, bits = step % 4 * 8;
        TV code = TL.LoadBits((int*)(block + CodesAt + (Row(group) + four) * VectorBytes) + lane, bits + Shift(group), IsParted(group) ? 3 : 7);
        if (IsParted(group))
            code = TL.MultiplyAdd(TL.LoadBits((int*)(block + CodesAt + (High(group).Row + four) * VectorBytes) + lane, bits + High(group).Bit, 1), TL.Broadcast(4), code);
        return TL.Multiply(scale, TL.Subtract(code, TL.Broadcast(Middle)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.And(TB.ShiftRight(TB.Load(block + CodesAt + ((group & 7) * 4 + four) * VectorBytes + 4 * lane), shift), TB.Fill(7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI PartedCodes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct
    {
        TI low = TB.ShiftRight(TB.Load(block + CodesAt + (4 * Parted(group) + four) * VectorBytes + 4 * lane), shift);
        TI high = TB.ShiftRight(TB.Load(block + CodesAt + (High(group).Row + four) * VectorBytes + 4 * lane), TB.Fill32(High(group).Bit));
        return TB.Or(TB.And(low, TB.Fill(3)), TB.ShiftLeft(TB.And(high, TB.Fill(1)), 2));
    }
}

/// <summary>
/// llama.cpp's Q2_K, w = d scale q - dmin min, 256 steps a block: its own bytes, four of each output side by side; of each 128 steps the codes of steps 32 i to 32 i + 31 lie in bits 2 i of eight rows.
/// <code>
/// 0     d of 64 outputs, dmin of 64 outputs    halves
/// 256   [16 groups of 16 steps][64]            scale in the low, min in the high four bits of a byte
/// 1280  codes [2][8] rows of 64 lanes
/// </code>
/// </summary>
readonly unsafe struct Q2KPanels : IIntegerPanels
{
    public const int ScalesAt = 4 * IntegerPacking.Lanes, CodesAt = ScalesAt + 16 * IntegerPacking.Lanes, VectorBytes = 4 * IntegerPacking.Lanes;

    public static int BlockSteps => 256;

    public static int BlockBytes => CodesAt + 2 * 8 * VectorBytes;

    public static int GroupSteps => 16;

    public static int Ahead => 2 * Prefetching.Ahead;

    public static bool Signed => false;

    public static bool HasOffsets => true;

    public static int Shift(int group) => group % 8 / 2 * 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockScale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => TL.LoadFiniteHalf((ushort*)block + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockOffset<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(blockScale, TL.LoadUInt4(block + ScalesAt + group * IntegerPacking.Lanes + lane, 0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(blockOffset, TL.LoadUInt4(block + ScalesAt + group * IntegerPacking.Lanes + lane, 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct
    {
        TV code = TL.LoadBits((int*)(block + CodesAt + (step / 128 * 8 + step % 32 / 4) * VectorBytes) + lane, step % 4 * 8 + step % 128 / 32 * 2, 3);
        return TL.Subtract(TL.Multiply(scale, code), offset);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.And(TB.ShiftRight(TB.Load(block + CodesAt + (group / 8 * 8 + group % 2 * 4 + four) * VectorBytes + 4 * lane), shift), TB.Fill(3));
}

/// <summary>
/// Signed bytes, w = d share scale q, 256 steps a block: what a codebook gives for its points.
/// <code>
/// 0     d of 64 outputs                        halves, then 128 bytes unused
/// 256   scales [groups][64]                     signed bytes
/// then  [64] rows of 64 lanes of 4 bytes
/// </code>
/// </summary>
readonly unsafe struct ScaledInt8Panels<TG> : IIntegerPanels where TG : struct, IScaledGroups
{
    public const int ScalesAt = 4 * IntegerPacking.Lanes;

    public static int CodesAt
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ScalesAt + 256 / TG.Steps * IntegerPacking.Lanes;
    }

    public static int BlockSteps => 256;

    public static int BlockBytes => CodesAt + 256 * IntegerPacking.Lanes;

    public static int GroupSteps => TG.Steps;

    public static bool Signed => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockScale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(TL.LoadFiniteHalf((ushort*)block + lane), TL.Broadcast(TG.Share));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(blockScale, TL.LoadInt8((sbyte*)block + ScalesAt + group * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.LoadByte((int*)(block + CodesAt) + step / 4 * IntegerPacking.Lanes + lane, step % 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.Load(block + CodesAt + ((group * (TG.Steps / 4) + four) * IntegerPacking.Lanes + lane) * 4);
}

/// <summary>How long groups of <see cref="ScaledInt8Panels{TG}"/> are and what d is multiplied by, constants to the compiler.</summary>
interface IScaledGroups
{
    /// <summary>Steps of a group: 16 or 32.</summary>
    static abstract int Steps { get; }

    /// <summary>A power of two.</summary>
    static abstract float Share { get; }
}

/// <summary>Groups of 32, d itself.</summary>
readonly struct Whole32 : IScaledGroups
{
    public static int Steps => 32;

    public static float Share => 1;
}

/// <summary>Groups of 32, d / 4.</summary>
readonly struct Fourths32 : IScaledGroups
{
    public static int Steps => 32;

    public static float Share => 1 / 4f;
}

/// <summary>Groups of 32, d / 8.</summary>
readonly struct Eighths32 : IScaledGroups
{
    public static int Steps => 32;

    public static float Share => 1 / 8f;
}

/// <summary>Groups of 16, d / 8.</summary>
readonly struct Eighths16 : IScaledGroups
{
    public static int Steps => 16;

    public static float Share => 1 / 8f;
}
