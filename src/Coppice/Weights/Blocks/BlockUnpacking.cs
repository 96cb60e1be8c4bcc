using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Weights.Blocks;

/// <summary>The numbers of blocks, from their parts.</summary>
static class BlockUnpacking
{
    /// <summary>w = d s l - dmin m, the level l of a code looked up, or a code and the least level together; each product and the difference rounded as in a loop over single weights.</summary>
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
        Vector128<byte> levels = shape.IsUniform ? default : Vector128.Create(MemoryMarshal.AsBytes(shape.Levels.AsSpan()));
        (float unit, float minUnit) = ((float)parts.Units[0], (float)parts.Units[1]);
        for (int group = 0; group < groups; group++)
        {
            Vector512<float> scale = Vector512.Create(unit * parts.Scales[group]), offset = Vector512.Create(minUnit * parts.Mins[group]);
            for (int i = group * size; i < (group + 1) * size; i += Vector512<float>.Count)
            {
                Vector128<byte> codes = Vector128.Create((ReadOnlySpan<byte>)parts.Codes.Slice(i, 16));
                Vector512<float> own = shape.IsUniform ? Widen(codes.AsSByte()) + least : Widen(Vector128.ShuffleNative(levels, codes).AsSByte());
                (scale * own - offset).CopyTo(values[i..]);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> Widen(Vector128<sbyte> numbers)
    {
        Vector256<short> half = Vector256.WidenLower(numbers.ToVector256Unsafe());
        return Vector512.ConvertToSingle(Vector512.WidenLower(half.ToVector512Unsafe()));
    }
}
