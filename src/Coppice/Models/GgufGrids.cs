using System.Buffers;
using Coppice.Coding;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Models;

/// <summary>Integers in groups as llama.cpp's blocks, and back, where the grids are the same: codes change their zero point and their width, never a number.</summary>
static class GgufGrids
{
    // Blocks that are looked at, at a time.
    const int BandBlocks = 1 << 14;

    /// <summary>
    /// The same numbers as blocks. A group that is some blocks long gives each its scale; symmetric codes of up to 4 bits are Q4_0's; others of up to 4 bits are Q4_1's where each group's
    /// smallest number is a half; what else lies within a signed byte of its zero point is Q8_0's. e2m1 in groups of 32 with powers of two is MXFP4's. Any other weight as it is.
    /// </summary>
    public static Weight ToBlocks(Weight weight)
    {
        if (weight is LevelWeight { ScaleType: ScaleType.PowerOfTwo, GroupSize: 32 } levels && levels.Table == LevelTables.Fp4 && levels.Scales.IndexOfAnyExceptInRange(0, MXFP4.LargestScale) < 0)
            return Blocks(levels);
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
        BlockWeight<Q4_0> blocks => Integers(blocks, 4, static block => (block.Scale, 8), static (block, codes) => Nibbles(block.Values, codes)),
        BlockWeight<Q8_0> blocks => Integers(blocks, 8, static block => (block.Scale, 128), static (block, codes) =>
        {
            for (int i = 0; i < Q8_0.Size; i++)
                codes[i] = (byte)(block.Values[i] + 128);
        }),
        BlockWeight<Q4_1> blocks => Integers(blocks, 4, static block =>
        {
            float scale = (float)block.Scale, min = (float)block.Min;
            int zero = scale == 0 ? 0 : (int)Math.Clamp(MathF.Round(-min / scale), 0, 15);
            return (block.Scale, zero * scale == -min ? zero : null);
        }, static (block, codes) => Nibbles(block.Values, codes)),
        _ => weight,
    };

    delegate TBlock Make<TBlock>(Half scale, int zero, Span<byte> codes);

    // A block's scale and zero point; null where it has none among the codes.
    delegate (Half Scale, int? Zero) Grid<TBlock>(TBlock block);

    delegate void Codes<TBlock>(TBlock block, Span<byte> codes);

    // Blocks are made when they are written.
    static BlockWeight<TBlock> Blocks<TBlock>(IntWeight weight, Make<TBlock> make) where TBlock : unmanaged, IBlock<TBlock>
    {
        int perRow = weight.Columns / TBlock.Size, perGroup = weight.GroupSize == IntWeight.WholeRow ? perRow : weight.GroupSize / TBlock.Size;
        return new BlockWeight<TBlock>(weight.Rows, weight.Columns, new DeferredMemory<TBlock>(weight.Rows, perRow, (firstRow, blocks) =>
        {
            byte[] buffer = ArrayPool<byte>.Shared.Rent(blocks.Length * TBlock.Size);
            Span<byte> codes = buffer.AsSpan(0, blocks.Length * TBlock.Size);
            weight.UnpackCodes(firstRow, codes);
            for (int i = 0; i < blocks.Length; i++)
            {
                int group = (firstRow + i / perRow) * weight.GroupsPerRow + i % perRow / perGroup;
                blocks[i] = make(weight.Scales[group], weight.IsSymmetric ? weight.Middle : weight.Zeros[group], codes.Slice(i * TBlock.Size, TBlock.Size));
            }
            ArrayPool<byte>.Shared.Return(buffer);
        }).Memory);
    }

    static BlockWeight<MXFP4> Blocks(LevelWeight weight) => new(weight.Rows, weight.Columns, new DeferredMemory<MXFP4>(weight.Rows, weight.GroupsPerRow, (firstRow, blocks) =>
    {
        byte[] codes = new byte[weight.Columns];
        for (int i = 0; i < blocks.Length; i++)
        {
            if (i % weight.GroupsPerRow == 0)
                weight.UnpackCodes(firstRow + i / weight.GroupsPerRow, codes);
            blocks[i] = MXFP4.FromCodes(weight.Scales[firstRow * weight.GroupsPerRow + i], codes.AsSpan(i % weight.GroupsPerRow * MXFP4.Size, MXFP4.Size));
        }
    }).Memory);

    // Scales and zero points are read now, codes when they are written.
    static Weight Integers<TBlock>(BlockWeight<TBlock> weight, int bits, Grid<TBlock> grid, Codes<TBlock> unpack) where TBlock : unmanaged, IBlock<TBlock>
    {
        int perRow = weight.Columns / TBlock.Size, band = Math.Max(1, BandBlocks / Math.Max(perRow, 1));
        Half[] scales = new Half[weight.Rows * perRow];
        byte[] zeros = new byte[scales.Length];
        TBlock[] blocks = new TBlock[band * perRow];
        for (int row = 0; row < weight.Rows; row += band)
        {
            Span<TBlock> read = blocks.AsSpan(0, Math.Min(band, weight.Rows - row) * perRow);
            weight.Read(row, read);
            for (int i = 0; i < read.Length; i++)
            {
                (scales[row * perRow + i], int? zero) = grid(read[i]);
                if (zero is null)
                    return weight;
                zeros[row * perRow + i] = (byte)zero.Value;
            }
        }
        bool isSymmetric = zeros.AsSpan().IndexOfAnyExcept((byte)(1 << bits - 1)) < 0;
        int wordsPerRow = BitPacking.Words(weight.Columns, bits);
        return IntWeight.FromWords(bits, TBlock.Size, weight.Rows, weight.Columns, new DeferredMemory<uint>(weight.Rows, wordsPerRow, (firstRow, words) =>
        {
            TBlock[] buffer = ArrayPool<TBlock>.Shared.Rent(words.Length / wordsPerRow * perRow);
            Span<TBlock> read = buffer.AsSpan(0, words.Length / wordsPerRow * perRow);
            weight.Read(firstRow, read);
            Span<byte> codes = new byte[TBlock.Size];
            // A block's codes fill whole words.
            int wordsPerBlock = TBlock.Size * bits / 32;
            for (int i = 0; i < read.Length; i++)
            {
                unpack(read[i], codes);
                BitPacking.Pack(codes, bits, words.Slice(i * wordsPerBlock, wordsPerBlock));
            }
            ArrayPool<TBlock>.Shared.Return(buffer);
        }).Memory, scales, isSymmetric ? null : zeros);
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
