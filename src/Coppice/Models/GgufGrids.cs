using Coppice.Weights;

namespace Coppice.Models;

/// <summary>Integers in groups as llama.cpp's blocks, and back, where the grids are the same: codes change their zero point and their width, never a number.</summary>
static class GgufGrids
{
    /// <summary>
    /// The same numbers as blocks. A group that is some blocks long gives each its scale; symmetric codes of up to 4 bits are Q4_0's; others of up to 4 bits are Q4_1's where each group's
    /// smallest number is a half; what else lies within a signed byte of its zero point is Q8_0's. Any other weight as it is.
    /// </summary>
    public static Weight ToBlocks(Weight weight)
    {
        IntWeight? ints = weight as IntWeight ?? (weight as TwoFourIntWeight)?.ToInt();
        if (ints is null || ints.HasWideScales || ints.Columns % Q8_0.Size != 0 || ints.GroupSize != IntWeight.WholeRow && ints.GroupSize % Q8_0.Size != 0)
            return weight;
        if (ints.IsSymmetric && ints.Bits <= 4)
            return Blocks<Q4_0>(ints, (scale, zero, codes) => Q4_0.FromCodes(scale, Shifted(codes, 8 - zero)));
        if (ints.Bits <= 4 && HasHalfMinima(ints))
            return Blocks<Q4_1>(ints, (scale, zero, codes) => new Q4_1 { Scale = scale, Min = (Half)(-(float)scale * zero), Values = Q4_0.FromCodes(scale, codes).Values });
        return ints.IsSymmetric || ints.Bits < 8 ? Blocks<Q8_0>(ints, (scale, zero, codes) => Q8_0.FromCodes(scale, Shifted(codes, 128 - zero))) : weight;
    }

    /// <summary>The same numbers as integers in groups of 32, where they are Q4_0's or Q8_0's, or Q4_1's whose smallest numbers are whole multiples of their scales; any other weight as it is.</summary>
    public static Weight ToIntegers(Weight weight) => weight switch
    {
        BlockWeight<Q4_0> blocks => Integers(blocks, 4, static (block, codes) =>
        {
            Nibbles(block.Values, codes);
            return (block.Scale, 8);
        }),
        BlockWeight<Q8_0> blocks => Integers(blocks, 8, static (block, codes) =>
        {
            for (int i = 0; i < Q8_0.Size; i++)
                codes[i] = (byte)(block.Values[i] + 128);
            return (block.Scale, 128);
        }),
        BlockWeight<Q4_1> blocks => Integers(blocks, 4, static (block, codes) =>
        {
            Nibbles(block.Values, codes);
            float scale = (float)block.Scale, min = (float)block.Min;
            int zero = scale == 0 ? 0 : (int)Math.Clamp(MathF.Round(-min / scale), 0, 15);
            return (block.Scale, zero * scale == -min ? zero : null);
        }),
        _ => weight,
    };

    delegate TBlock Make<TBlock>(Half scale, int zero, Span<byte> codes);

    // A block's scale and zero point; null where it has none among the codes.
    delegate (Half Scale, int? Zero) Take<TBlock>(TBlock block, Span<byte> codes);

    static BlockWeight<TBlock> Blocks<TBlock>(IntWeight weight, Make<TBlock> make) where TBlock : unmanaged, IBlock<TBlock>
    {
        int perRow = weight.Columns / TBlock.Size, perGroup = weight.GroupSize == IntWeight.WholeRow ? perRow : weight.GroupSize / TBlock.Size;
        TBlock[] blocks = new TBlock[weight.Rows * perRow];
        byte[] codes = new byte[weight.Columns];
        for (int row = 0; row < weight.Rows; row++)
        {
            weight.UnpackCodes(row, codes);
            for (int i = 0; i < perRow; i++)
            {
                int group = row * weight.GroupsPerRow + i / perGroup;
                blocks[row * perRow + i] = make(weight.Scales[group], weight.IsSymmetric ? weight.Middle : weight.Zeros[group], codes.AsSpan(i * TBlock.Size, TBlock.Size));
            }
        }
        return new BlockWeight<TBlock>(weight.Rows, weight.Columns, blocks);
    }

    static Weight Integers<TBlock>(BlockWeight<TBlock> weight, int bits, Take<TBlock> take) where TBlock : unmanaged, IBlock<TBlock>
    {
        byte[] codes = new byte[weight.Shape.Length], zeros = new byte[codes.Length / TBlock.Size];
        Half[] scales = new Half[zeros.Length];
        for (int i = 0; i < scales.Length; i++)
        {
            (scales[i], int? zero) = take(weight.Blocks[i], codes.AsSpan(i * TBlock.Size, TBlock.Size));
            if (zero is null)
                return weight;
            zeros[i] = (byte)zero.Value;
        }
        GC.KeepAlive(weight);
        bool isSymmetric = zeros.AsSpan().IndexOfAnyExcept((byte)(1 << bits - 1)) < 0;
        return new IntWeight(bits, TBlock.Size, weight.Rows, weight.Columns, codes, scales, isSymmetric ? [] : zeros);
    }

    static bool HasHalfMinima(IntWeight weight)
    {
        for (int i = 0; i < weight.Scales.Length; i++)
            if ((float)weight.Scales[i] * weight.Zeros[i] is var distance && (float)(Half)distance != distance)
                return false;
        return true;
    }

    static Span<byte> Shifted(Span<byte> codes, int shift)
    {
        foreach (ref byte code in codes)
            code = (byte)(code + shift);
        return codes;
    }

    static void Nibbles(Q4_0.Nibbles values, Span<byte> codes)
    {
        for (int i = 0; i < Q4_0.Size / 2; i++)
            (codes[i], codes[i + Q4_0.Size / 2]) = ((byte)(values[i] & 15), (byte)(values[i] >> 4));
    }
}
