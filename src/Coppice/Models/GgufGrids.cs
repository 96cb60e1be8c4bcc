using Coppice.Weights;

namespace Coppice.Models;

/// <summary>Integers in groups as llama.cpp's blocks, and back, where the grids are the same: codes change their zero point and their width, never a number.</summary>
static class GgufGrids
{
    /// <summary>
    /// The same numbers as blocks. A group that is some blocks long gives each its scale; symmetric codes of up to 4 bits are Q4_0's, what else lies within a signed byte
    /// of its zero point is Q8_0's. Any other weight as it is.
    /// </summary>
    public static Weight ToBlocks(Weight weight)
    {
        IntWeight? ints = weight as IntWeight ?? (weight as TwoFourIntWeight)?.ToInt();
        if (ints is null || ints.HasWideScales || ints.Columns % Q8_0.Size != 0 || ints.GroupSize != IntWeight.WholeRow && ints.GroupSize % Q8_0.Size != 0)
            return weight;
        if (ints.IsSymmetric && ints.Bits <= 4)
            return Blocks<Q4_0>(ints, middle: 8, Q4_0.FromCodes);
        return ints.IsSymmetric || ints.Bits < 8 ? Blocks<Q8_0>(ints, middle: 128, Q8_0.FromCodes) : weight;
    }

    /// <summary>The same numbers as symmetric integers in groups of 32, where they are Q4_0's or Q8_0's; any other weight as it is.</summary>
    public static Weight ToIntegers(Weight weight) => weight switch
    {
        BlockWeight<Q4_0> blocks => Integers(blocks, 4, static (block, codes) =>
        {
            for (int i = 0; i < Q4_0.Size / 2; i++)
                (codes[i], codes[i + Q4_0.Size / 2]) = ((byte)(block.Values[i] & 15), (byte)(block.Values[i] >> 4));
            return block.Scale;
        }),
        BlockWeight<Q8_0> blocks => Integers(blocks, 8, static (block, codes) =>
        {
            for (int i = 0; i < Q8_0.Size; i++)
                codes[i] = (byte)(block.Values[i] + 128);
            return block.Scale;
        }),
        _ => weight,
    };

    delegate TBlock Make<TBlock>(Half scale, ReadOnlySpan<byte> codes);

    delegate Half Take<TBlock>(TBlock block, Span<byte> codes);

    static BlockWeight<TBlock> Blocks<TBlock>(IntWeight weight, int middle, Make<TBlock> make) where TBlock : unmanaged, IBlock<TBlock>
    {
        int perRow = weight.Columns / TBlock.Size, perGroup = weight.GroupSize == IntWeight.WholeRow ? perRow : weight.GroupSize / TBlock.Size;
        TBlock[] blocks = new TBlock[weight.Rows * perRow];
        byte[] codes = new byte[weight.Columns];
        for (int row = 0; row < weight.Rows; row++)
        {
            weight.UnpackCodes(row, codes);
            for (int i = 0; i < perRow; i++)
            {
                int group = row * weight.GroupsPerRow + i / perGroup, shift = middle - (weight.IsSymmetric ? weight.Middle : weight.Zeros[group]);
                Span<byte> block = codes.AsSpan(i * TBlock.Size, TBlock.Size);
                foreach (ref byte code in block)
                    code = (byte)(code + shift);
                blocks[row * perRow + i] = make(weight.Scales[group], block);
            }
        }
        return new BlockWeight<TBlock>(weight.Rows, weight.Columns, blocks);
    }

    static IntWeight Integers<TBlock>(BlockWeight<TBlock> weight, int bits, Take<TBlock> take) where TBlock : unmanaged, IBlock<TBlock>
    {
        byte[] codes = new byte[weight.Shape.Length];
        Half[] scales = new Half[codes.Length / TBlock.Size];
        for (int i = 0; i < scales.Length; i++)
            scales[i] = take(weight.Blocks[i], codes.AsSpan(i * TBlock.Size, TBlock.Size));
        GC.KeepAlive(weight);
        return new IntWeight(bits, TBlock.Size, weight.Rows, weight.Columns, codes, scales, []);
    }
}
