using Coppice.Formats;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>Which GGUF type holds a weight's numbers exactly.</summary>
static class GgufBlocks
{
    /// <summary>The same numbers as blocks, where the grids are the same: symmetric int4 and int8 in groups of 32 are Q4_0 and Q8_0. Any other weight as it is.</summary>
    public static Weight Exact(Weight weight) => weight is IntWeight { IsSymmetric: true, HasWideScales: false, GroupSize: 32, Bits: 4 or 8 } ints && ints.Columns % 32 == 0
        ? ints.Bits == 4 ? Blocks<Q4_0>(ints, Q4_0.FromCodes) : Blocks<Q8_0>(ints, Q8_0.FromCodes)
        : weight;

    /// <summary>The type that a weight is written as unless another is asked for: its own where GGUF has it, else F16.</summary>
    public static GgmlType TypeOf(Weight weight) => weight switch
    {
        BlockWeight blocks => GgmlType.Of(blocks.Format),
        HalfWeight { Format: HalfFormat.BFloat16 } or StoredWeight { Format: HalfFormat.BFloat16 } => GgmlType.BF16,
        _ => GgmlType.F16,
    };

    /// <summary>Whether a type holds all the numbers of a weight.</summary>
    public static bool IsExact(Weight weight, GgmlType type) =>
        type == GgmlType.F32
        || type == TypeOf(weight) && (weight is HalfWeight or StoredWeight { Format: not null } or BlockWeight)
        || type == GgmlType.F16 && Array.TrueForAll(weight.ToDense(), value => (float)(Half)value == value);

    delegate TBlock Make<TBlock>(Half scale, ReadOnlySpan<byte> codes);

    static BlockWeight<TBlock> Blocks<TBlock>(IntWeight weight, Make<TBlock> make) where TBlock : unmanaged, IBlock<TBlock>
    {
        TBlock[] blocks = new TBlock[weight.Rows * weight.GroupsPerRow];
        byte[] codes = new byte[weight.Columns];
        for (int row = 0; row < weight.Rows; row++)
        {
            weight.UnpackCodes(row, codes);
            for (int group = 0; group < weight.GroupsPerRow; group++)
            {
                int block = row * weight.GroupsPerRow + group;
                blocks[block] = make(weight.Scales[block], codes.AsSpan(group * TBlock.Size, TBlock.Size));
            }
        }
        return new BlockWeight<TBlock>(weight.Rows, weight.Columns, blocks);
    }
}
