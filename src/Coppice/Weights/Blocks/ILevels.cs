using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>The whole numbers that a group's weights are rounded to once they are divided by its scale. Vectors are of one fixed width, so that a block has the same bytes on every machine.</summary>
interface ILevels
{
    /// <summary>The level furthest below zero, which is the furthest of all.</summary>
    static abstract int Least { get; }

    /// <summary>The level furthest above zero.</summary>
    static abstract int Most { get; }

    /// <summary>How far, as a part of itself, the scale that is nearest a group's numbers may lie from the one that just covers them.</summary>
    static abstract float Spread { get; }

    /// <summary>The nearest levels.</summary>
    static abstract Vector256<float> Nearest(Vector256<float> scaled);

    /// <summary>The codes that stand for levels.</summary>
    static abstract Vector256<float> CodesOf(Vector256<float> levels);
}

/// <summary>-4 to 3: Q3_K's.</summary>
readonly struct ThreeBitLevels : ILevels
{
    public static int Least => -4;

    public static int Most => 3;

    public static float Spread => 0.25f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Nearest(Vector256<float> scaled) => Vector256.MinNative(Vector256.MaxNative(Vector256.Round(scaled), Vector256.Create(-4f)), Vector256.Create(3f));

    public static Vector256<float> CodesOf(Vector256<float> levels) => levels + Vector256.Create(4f);
}

/// <summary>-8 to 7: Q4_0's.</summary>
readonly struct FourBitLevels : ILevels
{
    public static int Least => -8;

    public static int Most => 7;

    public static float Spread => 0.15f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Nearest(Vector256<float> scaled) => Vector256.MinNative(Vector256.MaxNative(Vector256.Round(scaled), Vector256.Create(-8f)), Vector256.Create(7f));

    public static Vector256<float> CodesOf(Vector256<float> levels) => levels + Vector256.Create(8f);
}

/// <summary>-16 to 15: Q5_0's.</summary>
readonly struct FiveBitLevels : ILevels
{
    public static int Least => -16;

    public static int Most => 15;

    public static float Spread => 0.08f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Nearest(Vector256<float> scaled) => Vector256.MinNative(Vector256.MaxNative(Vector256.Round(scaled), Vector256.Create(-16f)), Vector256.Create(15f));

    public static Vector256<float> CodesOf(Vector256<float> levels) => levels + Vector256.Create(16f);
}

/// <summary>-32 to 31: Q6_K's.</summary>
readonly struct SixBitLevels : ILevels
{
    public static int Least => -32;

    public static int Most => 31;

    public static float Spread => 0.04f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Nearest(Vector256<float> scaled) => Vector256.MinNative(Vector256.MaxNative(Vector256.Round(scaled), Vector256.Create(-32f)), Vector256.Create(31f));

    public static Vector256<float> CodesOf(Vector256<float> levels) => levels + Vector256.Create(32f);
}

/// <summary>Sixteen levels that lie closer around zero: those of IQ4_NL and IQ4_XS.</summary>
readonly struct NonLinearLevels : ILevels
{
    /// <summary>The level of each code.</summary>
    public static ReadOnlySpan<sbyte> Table => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    public static int Least => -127;

    public static int Most => 113;

    public static float Spread => 0.25f;

    static readonly SixteenLevels tree = new(Table);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Nearest(Vector256<float> scaled) => tree.Level(tree.Code(scaled));

    public static Vector256<float> CodesOf(Vector256<float> levels) => Vector256.ConvertToSingle(tree.Code(levels));
}

/// <summary>Twice the numbers of 4-bit floating point, e2m1: MXFP4's, ranked by size, with two ranks for 0.</summary>
readonly struct Float4Levels : ILevels
{
    // Without -0.
    static ReadOnlySpan<sbyte> Table => [-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12];

    public static int Least => -12;

    public static int Most => 12;

    public static float Spread => 0.5f;

    static readonly SixteenLevels tree = new(Table);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Nearest(Vector256<float> scaled) => tree.Level(tree.Code(scaled));

    // Ranks from 0 on have a second one for 0 before them.
    public static Vector256<float> CodesOf(Vector256<float> levels)
    {
        Vector256<float> ranks = Vector256.ConvertToSingle(tree.Code(levels));
        return ranks + (Vector256.GreaterThanOrEqual(levels, default) & Vector256<float>.One);
    }
}
