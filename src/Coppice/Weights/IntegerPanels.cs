using System.Runtime.CompilerServices;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>How many steps of a block of integers share a scale, constants to the compiler.</summary>
interface IScaleSteps
{
    /// <summary>Steps of a block: at least 64, as the codes of four bits of two steps share a byte.</summary>
    static abstract int BlockSteps { get; }

    /// <summary>Rows of scales of a block, and of zero points.</summary>
    static abstract int Rows { get; }

    /// <summary>The row that a group of 32 steps takes its scale from.</summary>
    static abstract int RowOf(int group);
}

/// <summary>A row of scales for each 32 steps, as GGUF's blocks want it.</summary>
readonly struct Each32 : IScaleSteps
{
    public static int BlockSteps => 64;

    public static int Rows => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int RowOf(int group) => group;
}

/// <summary>One row of scales for 128 steps: groups of 128 inputs and of multiples, whole rows among them.</summary>
readonly struct Each128 : IScaleSteps
{
    public static int BlockSteps => 128;

    public static int Rows => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int RowOf(int group) => 0;
}

/// <summary>
/// Signed bytes, w = q scale, a block's scales first, then its codes, four steps a row. With a scale for each 32 steps, 64 steps a block:
/// <code>
/// 0     scales of steps 0 to 31    64 halves
/// 128   scales of steps 32 to 63   64 halves
/// 256   codes of steps 0 to 3      64 lanes of 4 bytes
/// 512   codes of steps 4 to 7      ...
/// </code>
/// </summary>
readonly unsafe struct Int8Panels<TS> : IIntegerPanels where TS : struct, IScaleSteps
{
    public static int CodesAt
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TS.Rows * IntegerPacking.Lanes;
    }

    public static int BlockSteps => TS.BlockSteps;

    public static int BlockBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => CodesAt + TS.BlockSteps * IntegerPacking.Lanes;
    }

    public static bool Signed => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + TS.RowOf(group) * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.LoadByte((int*)(block + CodesAt) + step / 4 * IntegerPacking.Lanes + lane, step % 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.Load(block + CodesAt + (group * 8 + four) * IntegerPacking.VectorBytes + 4 * lane);
}

/// <summary>Signed bytes with zero points, w = (q - zero) scale: as <see cref="Int8Panels{TS}"/>, with as many rows of 64 signed zero points behind the scales.</summary>
readonly unsafe struct Int8ZeroPanels<TS> : IIntegerPanels where TS : struct, IScaleSteps
{
    public static int ZerosAt
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TS.Rows * IntegerPacking.Lanes;
    }

    public static int CodesAt
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 3 * TS.Rows * IntegerPacking.Lanes;
    }

    public static int BlockSteps => TS.BlockSteps;

    public static int BlockBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => CodesAt + TS.BlockSteps * IntegerPacking.Lanes;
    }

    public static bool Signed => true;

    public static bool HasOffsets => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + TS.RowOf(group) * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(Scale<TL, TV>(block, group, lane, default), TL.LoadInt8((sbyte*)block + ZerosAt + TS.RowOf(group) * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Subtract(TL.Multiply(scale, TL.LoadByte((int*)(block + CodesAt) + step / 4 * IntegerPacking.Lanes + lane, step % 4)), offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.Load(block + CodesAt + (group * 8 + four) * IntegerPacking.VectorBytes + 4 * lane);
}

/// <summary>
/// Four bits, w = (q - 8) scale, a block's scales first, then eight rows of codes for each 64 steps. With a scale for each 32 steps, 64 steps a block:
/// <code>
/// 0     scales of steps 0 to 31, of steps 32 to 63
/// 256   64 lanes of 4 bytes; low four bits: steps 0 to 3, high four bits: steps 32 to 35
/// 512   steps 4 to 7 and 36 to 39 ...
/// </code>
/// </summary>
readonly unsafe struct Int4Panels<TS> : IIntegerPanels where TS : struct, IScaleSteps
{
    const int Zero = 8;

    public static int CodesAt
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TS.Rows * IntegerPacking.Lanes;
    }

    public static int BlockSteps => TS.BlockSteps;

    public static int BlockBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => CodesAt + TS.BlockSteps / 2 * IntegerPacking.Lanes;
    }

    public static bool Signed => false;

    static int IIntegerPanels.Zero => Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Shift(int group) => group % 2 * 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + TS.RowOf(group) * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.Subtract(Nibbles.Load<TL, TV>(block + CodesAt + step / 64 * Nibbles.Bytes, step % 64, lane), TL.Broadcast(Zero)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        Nibbles.Codes<TB, TI, TV>(block + CodesAt + group / 2 * Nibbles.Bytes, four, lane, shift);
}

/// <summary>Four bits with zero points, w = (q - zero) scale: as <see cref="Int4Panels{TS}"/>, with as many rows of 64 zero points, bytes, behind the scales.</summary>
readonly unsafe struct Int4ZeroPanels<TS> : IIntegerPanels where TS : struct, IScaleSteps
{
    public static int ZerosAt
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TS.Rows * IntegerPacking.Lanes;
    }

    public static int CodesAt
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 3 * TS.Rows * IntegerPacking.Lanes;
    }

    public static int BlockSteps => TS.BlockSteps;

    public static int BlockBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => CodesAt + TS.BlockSteps / 2 * IntegerPacking.Lanes;
    }

    public static bool Signed => false;

    public static bool HasOffsets => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Shift(int group) => group % 2 * 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + TS.RowOf(group) * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(Scale<TL, TV>(block, group, lane, default), TL.LoadInt8((sbyte*)block + ZerosAt + TS.RowOf(group) * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Subtract(TL.Multiply(scale, Nibbles.Load<TL, TV>(block + CodesAt + step / 64 * Nibbles.Bytes, step % 64, lane)), offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        Nibbles.Codes<TB, TI, TV>(block + CodesAt + group / 2 * Nibbles.Bytes, four, lane, shift);
}

/// <summary>Codes of 64 steps in eight rows, 64 lanes of 4 bytes each: 32 steps in the low four bits, the next 32 in the high ones.</summary>
static unsafe class Nibbles
{
    /// <summary>Bytes of 64 steps.</summary>
    public const int Bytes = 8 * IntegerPacking.VectorBytes;

    /// <summary>The codes of one step, 0 to 63, as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* codes, int step, int lane) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadBits((int*)codes + step % 32 / 4 * IntegerPacking.Lanes + lane, step % 4 * 8 + step / 32 * 4, 15);

    /// <summary>The codes of four steps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* codes, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.And(TB.ShiftRight(TB.Load(codes + four * IntegerPacking.VectorBytes + 4 * lane), shift), TB.Fill(15));

    /// <summary>The levels of one step's codes, as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV LoadLevel<TL, TV>(sbyte* levels, byte* codes, int step, int lane) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadLevel(levels, (int*)codes + step % 32 / 4 * IntegerPacking.Lanes + lane, step % 4 * 8 + step / 32 * 4);
}
