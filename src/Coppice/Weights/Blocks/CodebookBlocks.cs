using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Weights.Blocks;

/// <summary>What llama.cpp's codebook types have in common: 256 weights, w = d share s l, whose levels are points of a <see cref="Codebook"/>.</summary>
static class CodebookBlocks
{
    /// <summary>Weights of a block.</summary>
    public const int Size = 256;

    /// <summary>The shape of such a type; scales are 2 s + 1 with an s of four bits.</summary>
    public static BlockShape Shape(int groupSize, float share, Codebook codebook) => new(groupSize, codebook.Levels) { Scales = (1, 31), ScaleStep = 2, UnitShare = share, Codebook = codebook };

    /// <summary>The numbers of a block: exact in float32, in whichever order their factors are multiplied.</summary>
    public static void Unpack<TBlock>(in TBlock block, Span<float> values) where TBlock : unmanaged, IBlock<TBlock>
    {
        BlockShape shape = TBlock.Shape;
        BlockParts parts = new(stackalloc Half[2], stackalloc sbyte[Size / shape.GroupSize], stackalloc sbyte[Size / shape.GroupSize], stackalloc byte[Size]);
        block.Split(parts);
        float unit = (float)parts.Units[0] * shape.UnitShare;
        ReadOnlySpan<sbyte> levels = shape.Levels.AsSpan();
        for (int i = 0; i < Size; i++)
            values[i] = unit * parts.Scales[i / shape.GroupSize] * levels[parts.Codes[i]];
    }

    /// <summary>The inner product with 256 numbers, in order.</summary>
    public static float Dot<TBlock>(in TBlock block, ReadOnlySpan<float> x) where TBlock : unmanaged, IBlock<TBlock>
    {
        Span<float> values = stackalloc float[Size];
        Unpack(block, values);
        float sum = 0;
        for (int i = 0; i < Size; i++)
            sum += values[i] * x[i];
        return sum;
    }

    /// <summary>Rows of blocks for the kernels, as the bytes that their points give.</summary>
    public static PanelProduct Panels<TBlock, TGroups>(WorkerPool pool, int rows, int columns, ReadOnlyMemory<TBlock> blocks) where TBlock : unmanaged, IBlock<TBlock> where TGroups : struct, IScaledGroups
    {
        BlockShape shape = TBlock.Shape;
        int blocksPerRow = columns / Size, groups = Size / shape.GroupSize;
        return PanelProduct.OfIntegers(IntegerPacking.Fill<ScaledInt8Panels<TGroups>>(pool, rows, columns, (row, at) =>
        {
            ReadOnlySpan<TBlock> from = blocks.Span.Slice(row * blocksPerRow, blocksPerRow);
            BlockParts parts = new(stackalloc Half[2], stackalloc sbyte[groups], stackalloc sbyte[groups], stackalloc byte[Size]);
            ReadOnlySpan<sbyte> levels = shape.Levels.AsSpan();
            for (int i = 0; i < from.Length; i++)
            {
                from[i].Split(parts);
                Span<byte> block = at[i];
                IntegerPacking.PutScale(block, 0, at.Lane, parts.Units[0]);
                for (int group = 0; group < groups; group++)
                    block[ScaledInt8Panels<TGroups>.ScalesAt + group * IntegerPacking.Lanes + at.Lane] = (byte)parts.Scales[group];
                foreach (ref byte code in parts.Codes)
                    code = (byte)levels[code];
                IntegerPacking.PutVectors(MemoryMarshal.Cast<byte, uint>(parts.Codes), block[ScaledInt8Panels<TGroups>.CodesAt..], at.Lane);
            }
        }));
    }
}
