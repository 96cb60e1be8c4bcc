using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Tensors.Simd;

namespace Coppice.Weights.Blocks;

/// <summary>The levels of sixteen codes, a constant to the compiler.</summary>
unsafe interface ILevelTable
{
    /// <summary>Sixteen bytes, each a level and <see cref="Zero"/>.</summary>
    static abstract sbyte* Levels { get; }

    /// <summary>What the bytes are raised by, so that none is negative: 0 where they would not fit products of bytes.</summary>
    static abstract int Zero { get; }
}

/// <summary>IQ4_NL's and IQ4_XS's.</summary>
readonly unsafe struct NonLinearTable : ILevelTable
{
    public static sbyte* Levels
    {
        // A constant of the program, which never moves.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (sbyte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(NonLinearLevels.Table));
    }

    public static int Zero => 0;
}

/// <summary>MXFP4's, whose codes' high bits are signs.</summary>
readonly unsafe struct Float4Table : ILevelTable
{
    static ReadOnlySpan<sbyte> Raised => [12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0];

    public static sbyte* Levels
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (sbyte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(Raised));
    }

    public static int Zero => 12;
}

/// <summary>llama.cpp's IQ4_NL and MXFP4, w = scale t[q], 64 steps a block: laid out as <see cref="Int4Panels{TS}"/>, codes looked up in a table.</summary>
readonly unsafe struct LevelPanels<TT> : IIntegerPanels where TT : struct, ILevelTable
{
    public const int CodesAt = 4 * IntegerPacking.Lanes;

    public static int BlockSteps => 64;

    public static int BlockBytes => CodesAt + Nibbles.Bytes;

    public static bool Signed => TT.Zero == 0;

    public static int SumFours => 2;

    public static int Zero => TT.Zero;

    public static int Shift(int group) => 4 * group;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.LoadFiniteHalf((ushort*)block + group * IntegerPacking.Lanes + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, TL.Subtract(Nibbles.LoadLevel<TL, TV>(TT.Levels, block + CodesAt, step, lane), TL.Broadcast(TT.Zero)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.Lookup(TT.Levels, Nibbles.Codes<TB, TI, TV>(block + CodesAt, four, lane, shift));
}

/// <summary>
/// llama.cpp's IQ4_XS, w = d scale t[q], 256 steps a block.
/// <code>
/// 0     d of 64 outputs                        halves, then 128 bytes unused
/// 256   scales [8 groups of 32 steps][64]      signed bytes
/// 768   codes  [4][8] rows of 64 lanes, as in <see cref="Q4KPanels"/>
/// </code>
/// </summary>
readonly unsafe struct ScaledLevelPanels : IIntegerPanels
{
    public const int ScalesAt = 4 * IntegerPacking.Lanes, CodesAt = ScalesAt + 8 * IntegerPacking.Lanes;

    public static int BlockSteps => 256;

    public static int BlockBytes => CodesAt + 4 * Nibbles.Bytes;

    public static bool Signed => true;

    public static int Shift(int group) => 4 * (group & 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV BlockScale<TL, TV>(byte* block, int lane) where TL : struct, ILanes<TV> where TV : struct => TL.LoadFiniteHalf((ushort*)block + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(blockScale, TL.LoadInt8((sbyte*)block + ScalesAt + group * IntegerPacking.Lanes + lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
        TL.Multiply(scale, Nibbles.LoadLevel<TL, TV>(NonLinearTable.Levels, block + CodesAt + step / 64 * Nibbles.Bytes, step % 64, lane));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TI Codes<TB, TI, TV>(byte* block, int group, int four, int lane, TI shift) where TB : struct, IByteLanes<TI, TV> where TI : struct where TV : struct =>
        TB.Lookup(NonLinearTable.Levels, Nibbles.Codes<TB, TI, TV>(block + CodesAt + group / 2 * Nibbles.Bytes, four, lane, shift));
}
