using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>The nearest of up to sixteen levels, eight numbers at a time, by four comparisons with the middles between levels: those of a tree, a vector for each depth.</summary>
readonly struct SixteenLevels
{
    readonly Vector256<float> root, second, third, fourth, low, high;

    /// <summary>Levels, ascending.</summary>
    public SixteenLevels(ReadOnlySpan<sbyte> levels)
    {
        Span<float> own = stackalloc float[16], middles = stackalloc float[16];
        middles.Fill(float.PositiveInfinity);
        own.Clear();
        for (int i = 0; i < levels.Length; i++)
            own[i] = levels[i];
        for (int i = 0; i + 1 < levels.Length; i++)
            middles[i] = 0.5f * (levels[i] + levels[i + 1]);
        root = Vector256.Create(middles[7]);
        second = Depth(middles, 8);
        third = Depth(middles, 4);
        fourth = Depth(middles, 2);
        low = Vector256.Create((ReadOnlySpan<float>)own[..8]);
        high = Vector256.Create((ReadOnlySpan<float>)own[8..]);

        // Node i of a depth parts codes i step to (i + 1) step - 1 in two.
        static Vector256<float> Depth(ReadOnlySpan<float> middles, int step)
        {
            Span<float> nodes = stackalloc float[8];
            nodes.Clear();
            for (int i = 0; i < 16 / step; i++)
                nodes[i] = middles[i * step + step / 2 - 1];
            return Vector256.Create((ReadOnlySpan<float>)nodes);
        }
    }

    /// <summary>Which level is nearest; the lower of two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<int> Code(Vector256<float> numbers)
    {
        // A comparison that holds is -1.
        Vector256<int> code = -Vector256.GreaterThan(numbers, root).AsInt32();
        code = (code << 1) - Vector256.GreaterThan(numbers, Vector256.ShuffleNative(second, code)).AsInt32();
        code = (code << 1) - Vector256.GreaterThan(numbers, Vector256.ShuffleNative(third, code)).AsInt32();
        return (code << 1) - Vector256.GreaterThan(numbers, Vector256.ShuffleNative(fourth, code)).AsInt32();
    }

    /// <summary>The levels of codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<float> Level(Vector256<int> code)
    {
        Vector256<int> place = code & Vector256.Create(7);
        return Vector256.ConditionalSelect(Vector256.GreaterThan(code, Vector256.Create(7)).AsSingle(), Vector256.ShuffleNative(high, place), Vector256.ShuffleNative(low, place));
    }
}
