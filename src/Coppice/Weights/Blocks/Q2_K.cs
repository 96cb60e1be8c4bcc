using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's Q2_K: 256 weights in sixteen groups of 16, w = d s q - dmin m with q from 0 to 3, and a group's scale s and minimum m from 0 to 15. 84 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Q2_K : IBlock<Q2_K>
{
    const int Groups = 16, GroupSize = 16;

    /// <summary>Of each group s in the low and m in the high nibble, in order.</summary>
    public Pairs GroupScales;

    /// <summary>q. Each half of the block has 32 bytes; byte i holds, from its lowest bits up, those of the half's weights i, 32 + i, 64 + i and 96 + i.</summary>
    public Q6_K.Pairs Values;

    /// <summary>d, the scale of the groups' scales.</summary>
    public Half Scale;

    /// <summary>dmin, the scale of the groups' minima.</summary>
    public Half MinScale;

    /// <summary>16 bytes of a scale and a minimum each.</summary>
    [InlineArray(16)]
    public struct Pairs
    {
        byte first;
    }

    /// <inheritdoc/>
    public static int Size => 256;

    /// <inheritdoc/>
    public static string Name => "q2_k";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale) && Half.IsFinite(MinScale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(GroupSize, BlockShape.Whole(0, 3)) { Scales = (0, 15), Mins = (0, 15) };

    /// <inheritdoc/>
    public static Q2_K Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<Q2_K>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => SuperAffine.Search(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static Q2_K Join(BlockParts parts)
    {
        Q2_K block = new() { Scale = parts.Units[0], MinScale = parts.Units[1] };
        for (int group = 0; group < Groups; group++)
            block.GroupScales[group] = (byte)((byte)parts.Scales[group] | parts.Mins[group] << 4);
        for (int run = 0; run < Size; run += CodeBits.Run)
            CodeBits.Put(parts.Codes[run..], 0, 2, block.Values[(run / 128 * 32)..], run % 128 / 32 * 2);
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        (parts.Units[0], parts.Units[1]) = (Scale, MinScale);
        for (int group = 0; group < Groups; group++)
            (parts.Scales[group], parts.Mins[group]) = ((sbyte)(GroupScales[group] & 15), (sbyte)(GroupScales[group] >> 4));
        for (int run = 0; run < Size; run += CodeBits.Run)
            CodeBits.Take(Values[(run / 128 * 32)..], run % 128 / 32 * 2, 2).CopyTo(parts.Codes[run..]);
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => BlockUnpacking.Unpack(this, values);

    static PanelProduct IBlock<Q2_K>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q2_K> blocks) => SuperBlockPacking.Pack(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int group = 0; group < Groups; group++)
        {
            float products = 0, inputs = 0;
            for (int i = GroupSize * group; i < GroupSize * (group + 1); i++)
            {
                products += Code(i) * x[i];
                inputs += x[i];
            }
            (float scale, float offset) = ScaleOf(group);
            sum += scale * products - offset * inputs;
        }
        return sum;
    }

    readonly int Code(int i) => Values[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;

    readonly (float Scale, float Offset) ScaleOf(int group) => ((float)Scale * (GroupScales[group] & 15), (float)MinScale * (GroupScales[group] >> 4));
}
