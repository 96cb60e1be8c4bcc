using System.Runtime.CompilerServices;
using Coppice.Tensors.Simd;

namespace Coppice.Weights;

/// <summary>
/// Signed bytes, w = q scale, 64 steps a block: 64 scales as halves for either 32 steps, then 16 rows of codes.
/// <code>
/// 0     scales of steps 0 to 31    64 halves
/// 128   scales of steps 32 to 63   64 halves
/// 256   codes of steps 0 to 3      64 lanes of 4 bytes
/// 512   codes of steps 4 to 7      ...
/// </code>
/// </summary>
readonly unsafe struct Int8Panels : IIntegerPanels
{
    public const int CodesAt = 4 * IntegerPacking.Lanes;

    public static int BlockSteps => 64;

    public static int BlockBytes => CodesAt + 64 * IntegerPacking.Lanes;

    public static bool Signed => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + group * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.LoadByte((int*)(block + CodesAt) + step / 4 * IntegerPacking.Lanes + lane, step % 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.Load(block + CodesAt + (group * 8 + four) * IntegerPacking.VectorBytes + 4 * lane);
}

/// <summary>Signed bytes with zero points, w = (q - zero) scale: as <see cref="Int8Panels"/>, with 64 signed zero points for either 32 steps behind the scales.</summary>
readonly unsafe struct Int8ZeroPanels : IIntegerPanels
{
    public const int ZerosAt = 4 * IntegerPacking.Lanes, CodesAt = 8 * IntegerPacking.Lanes;

    public static int BlockSteps => 64;

    public static int BlockBytes => CodesAt + 64 * IntegerPacking.Lanes;

    public static bool Signed => true;

    public static bool HasOffsets => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + group * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Offset<TL, TV>(byte* block, int group, int lane, TV blockOffset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(Scale<TL, TV>(block, group, lane, default), TL.LoadInt8((sbyte*)block + ZerosAt + group * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Subtract(TL.Multiply(scale, TL.LoadByte((int*)(block + CodesAt) + step / 4 * IntegerPacking.Lanes + lane, step % 4)), offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.Load(block + CodesAt + (group * 8 + four) * IntegerPacking.VectorBytes + 4 * lane);
}

/// <summary>
/// Four bits, w = (q - 8) scale, 64 steps a block: 64 scales as halves for either 32 steps, then eight rows of codes.
/// <code>
/// 0     scales of steps 0 to 31, of steps 32 to 63
/// 256   64 lanes of 4 bytes; low four bits: steps 0 to 3, high four bits: steps 32 to 35
/// 512   steps 4 to 7 and 36 to 39 ...
/// </code>
/// </summary>
readonly unsafe struct Int4Panels : IIntegerPanels
{
    public const int CodesAt = 4 * IntegerPacking.Lanes, Zero = 8;

    public static int BlockSteps => 64;

    public static int BlockBytes => CodesAt + 32 * IntegerPacking.Lanes;

    public static bool Signed => false;

    static int IIntegerPanels.Zero => Zero;

    public static int Shift(int group) => 4 * group;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + group * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.Subtract(Nibbles.Load<TL, TV>(block + CodesAt, step, lane), TL.Broadcast(Zero)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        Nibbles.Codes<TB, TI, TV>(block + CodesAt, four, lane, shift);
}

/// <summary>Four bits with zero points, w = (q - zero) scale: as <see cref="Int4Panels"/>, with 64 zero points as bytes for either 32 steps behind the scales.</summary>
readonly unsafe struct Int4ZeroPanels : IIntegerPanels
{
    public const int ZerosAt = 4 * IntegerPacking.Lanes, CodesAt = 8 * IntegerPacking.Lanes;

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
        TL.Multiply(Scale<TL, TV>(block, group, lane, default), TL.LoadInt8((sbyte*)block + ZerosAt + group * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Subtract(TL.Multiply(scale, Nibbles.Load<TL, TV>(block + CodesAt, step, lane)), offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        Nibbles.Codes<TB, TI, TV>(block + CodesAt, four, lane, shift);
}

/// <summary>Codes of 64 steps in eight rows, 64 lanes of 4 bytes each: 32 steps in the low four bits, the next 32 in the high ones.</summary>
static unsafe class Nibbles
{
    /// <summary>The codes of one step, 0 to 63, as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* codes, int step, int lane) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadBits((int*)codes + step % 32 / 4 * IntegerPacking.Lanes + lane, step % 4 * 8 + step / 32 * 4, 15);

    /// <summary>The codes of four steps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* codes, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.And(TB.ShiftRight(TB.Load(codes + four * IntegerPacking.VectorBytes + 4 * lane), shift), TB.Fill(15));
}
