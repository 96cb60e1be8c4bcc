using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>llama.cpp's Q3_K: 256 weights in sixteen groups of 16, w = d (s - 32) (q - 4) with q from 0 to 7 and a group's scale s from 0 to 63. 110 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Q3_K : IBlock<Q3_K>
{
    const int Groups = 16, GroupSize = 16;

    /// <summary>The high bit of q: bit g of byte i is that of weight 32 g + i.</summary>
    public Bits High;

    /// <summary>The low two bits of q. Each half of the block has 32 bytes; byte i holds, from its lowest bits up, those of the half's weights i, 32 + i, 64 + i and 96 + i.</summary>
    public Q6_K.Pairs Low;

    /// <summary>s, six bits each: the low four of group g in byte g % 8, groups 0 to 7 in its low and 8 to 15 in its high nibble; the high two in bits 2 (g / 4) of byte 8 + g % 4.</summary>
    public SixBits GroupScales;

    /// <summary>d.</summary>
    public Half Scale;

    /// <summary>32 bytes of eight codes' highest bits.</summary>
    [InlineArray(32)]
    public struct Bits
    {
        byte first;
    }

    /// <summary>12 bytes of 16 scales.</summary>
    [InlineArray(12)]
    public struct SixBits
    {
        byte first;
    }

    /// <inheritdoc/>
    public static int Size => 256;

    /// <inheritdoc/>
    public static string Name => "q3_k";

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Scale);

    /// <inheritdoc/>
    public static BlockShape Shape { get; } = new(GroupSize, BlockShape.Whole(-4, 3)) { Scales = (-32, 31) };

    /// <inheritdoc/>
    public static Q3_K Pack(ReadOnlySpan<float> values) => BlockFormat.Pack<Q3_K>(values);

    /// <inheritdoc/>
    public static void Search(ReadOnlySpan<float> values, ReadOnlySpan<float> importance, BlockParts parts) => SuperScale.Search<ThreeBitLevels>(values, importance, Shape, parts);

    /// <inheritdoc/>
    public static Q3_K Join(BlockParts parts)
    {
        Q3_K block = new() { Scale = parts.Units[0] };
        for (int group = 0; group < Groups; group++)
        {
            int scale = parts.Scales[group] + 32;
            block.GroupScales[group % 8] |= (byte)((scale & 15) << group / 8 * 4);
            block.GroupScales[8 + group % 4] |= (byte)(scale >> 4 << group / 4 * 2);
        }
        for (int run = 0; run < Size; run += CodeBits.Run)
        {
            CodeBits.Put(parts.Codes[run..], 0, 2, block.Low[(run / 128 * 32)..], run % 128 / 32 * 2);
            CodeBits.Put(parts.Codes[run..], 2, 1, block.High, run / 32);
        }
        return block;
    }

    /// <inheritdoc/>
    public readonly void Split(BlockParts parts)
    {
        parts.Units[0] = Scale;
        for (int group = 0; group < Groups; group++)
            parts.Scales[group] = (sbyte)GroupScale(group);
        for (int run = 0; run < Size; run += CodeBits.Run)
            (CodeBits.Take(Low[(run / 128 * 32)..], run % 128 / 32 * 2, 2) | CodeBits.Take(High, run / 32, 1) << 2).CopyTo(parts.Codes[run..]);
    }

    /// <summary>s - 32 of a group.</summary>
    public readonly int GroupScale(int group) => (GroupScales[group % 8] >> group / 8 * 4 & 15 | (GroupScales[8 + group % 4] >> group / 4 * 2 & 3) << 4) - 32;

    /// <inheritdoc/>
    public readonly void Unpack(Span<float> values) => BlockUnpacking.Unpack(this, values);

    static PanelProduct IBlock<Q3_K>.Panels(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q3_K> blocks) => SuperBlockPacking.Pack(pool, rows, columns, blocks);

    /// <inheritdoc/>
    public readonly float Dot(ReadOnlySpan<float> x)
    {
        float sum = 0;
        for (int group = 0; group < Groups; group++)
        {
            float products = 0;
            for (int i = GroupSize * group; i < GroupSize * (group + 1); i++)
                products += (Code(i) - 4) * x[i];
            sum += (float)Scale * GroupScale(group) * products;
        }
        return sum;
    }

    readonly int Code(int i) => Low[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3 | (High[i % 32] >> i / 32 & 1) << 2;
}
