using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's Q5_K: 256 weights in eight groups of 32, w = d s q - dmin m with q from 0 to 31, and a group's scale s and minimum m from 0 to 63. 176 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Q5_K : IBlock<Q5_K>
{
    const int Groups = 8, GroupSize = 32;

    /// <summary>d, the scale of the groups' scales.</summary>
    public Half Scale;

    /// <summary>dmin, the scale of the groups' minima.</summary>
    public Half MinScale;

    /// <summary>The groups' scales and minima.</summary>
    public Q4_K.Groups GroupScales;

    /// <summary>The fifth bit of q: bit g of byte i is that of weight 32 g + i.</summary>
    public Q3_K.Bits High;

    /// <summary>The low four bits of q: byte 32 p + i holds weight 64 p + i in its low nibble and weight 64 p + 32 + i in its high one.</summary>
    public Q4_K.Nibbles Low;

    /// <inheritdoc/>
    public static int Size => 256;

    /// <inheritdoc/>
    public static string Name => "q5_k";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale) && Half.IsFinite(MinScale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(GroupSize, BlockShape.Whole(0, 31)) { Scales = (0, 63), Mins = (0, 63) };

    /// <inheritdoc/>
    public static Q5_K Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<Q5_K>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => SuperAffine.Search(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static Q5_K Join(BlockParts parts)
    {
        Q5_K block = new() { Scale = parts.Units[0], MinScale = parts.Units[1] };
        block.GroupScales.Fill(parts.Scales, parts.Mins);
        for (int run = 0; run < Size; run += CodeBits.Run)
        {
            CodeBits.Put(parts.Codes[run..], 0, 4, block.Low[(run / 64 * 32)..], run / 32 % 2 * 4);
            CodeBits.Put(parts.Codes[run..], 4, 1, block.High, run / 32);
        }
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        (parts.Units[0], parts.Units[1]) = (Scale, MinScale);
        GroupScales.Split(parts.Scales, parts.Mins);
        for (int run = 0; run < Size; run += CodeBits.Run)
            (CodeBits.Take(Low[(run / 64 * 32)..], run / 32 % 2 * 4, 4) | CodeBits.Take(High, run / 32, 1) << 4).CopyTo(parts.Codes[run..]);
    }

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => BlockUnpacking.Unpack(this, values);

    static PanelProduct IBlock<Q5_K>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q5_K> blocks) => SuperBlockPacking.Pack(pool, rows, columns, blocks);

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

    readonly int Code(int i) => Low[i / 64 * 32 + i % 32] >> i / 32 % 2 * 4 & 15 | (High[i % 32] >> i / 32 & 1) << 4;

    readonly (float Scale, float Offset) ScaleOf(int group)
    {
        (int scale, int min) = GroupScales.Of(group);
        return ((float)Scale * scale, (float)MinScale * min);
    }
}
