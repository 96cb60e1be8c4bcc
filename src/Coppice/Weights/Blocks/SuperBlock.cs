using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>The numbers of k-quants' blocks, from their parts.</summary>
static class SuperBlock
{
    /// <summary>w = d s l - dmin m, level l being a code and the least level together; each product and the difference rounded as in a loop over single weights.</summary>
    [SkipLocalsInit]
    public static void Unpack<TBlock>(TBlock block, Span<float> values) where TBlock : unmanaged, IBlock<TBlock>
    {
        BlockShape shape = TBlock.Shape;
        int size = shape.GroupSize, groups = TBlock.Size / size;
        BlockParts parts = new(stackalloc Half[2], stackalloc sbyte[groups], stackalloc sbyte[groups], stackalloc byte[TBlock.Size]);
        // Blocks without minima leave theirs as they are.
        parts.Units.Clear();
        parts.Mins.Clear();
        block.Split(parts);
        Vector512<float> least = Vector512.Create((float)shape.Levels[0]);
        (float unit, float minUnit) = ((float)parts.Units[0], (float)parts.Units[1]);
        for (int group = 0; group < groups; group++)
        {
            Vector512<float> scale = Vector512.Create(unit * parts.Scales[group]), offset = Vector512.Create(minUnit * parts.Mins[group]);
            for (int i = group * size; i < (group + 1) * size; i += Vector512<float>.Count)
                (scale * (Widen(parts.Codes[i..]) + least) - offset).CopyTo(values[i..]);
        }
    }

    // Sixteen codes as numbers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> Widen(ReadOnlySpan<byte> codes)
    {
        Vector256<ushort> half = Vector256.WidenLower(Vector128.Create(codes[..16]).ToVector256Unsafe());
        return Vector512.ConvertToSingle(Vector512.WidenLower(half.ToVector512Unsafe()).AsInt32());
    }
}
