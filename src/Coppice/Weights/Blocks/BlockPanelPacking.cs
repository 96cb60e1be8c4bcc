using System.Runtime.InteropServices;
using Coppice.Tensors;
using static Coppice.Weights.IntegerPacking;

namespace Coppice.Weights.Blocks;

/// <summary>Rearranges llama.cpp's blocks of 32 weights for the kernels, two of an output side by side.</summary>
static class BlockPanelPacking
{
    /// <summary>Rows of Q4_1 blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q4_1> blocks) =>
        PanelProduct.OfIntegers(Fill<Int4OffsetPanels>(pool, rows, columns, Pairs(columns, blocks, (in first, in second, block, lane) =>
        {
            PutScale(block, 0, lane, first.Scale);
            PutScale(block, 1, lane, second.Scale);
            PutScale(block, 2, lane, -first.Min);
            PutScale(block, 3, lane, -second.Min);
            PutPair(first.Values, second.Values, block[Int4OffsetPanels.CodesAt..], lane);
        })));

    /// <summary>Rows of Q5_0 blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q5_0> blocks) =>
        PanelProduct.OfIntegers(Fill<Int5Panels>(pool, rows, columns, Pairs(columns, blocks, (in first, in second, block, lane) =>
        {
            PutScale(block, 0, lane, first.Scale);
            PutScale(block, 1, lane, second.Scale);
            PutFifthBits(first.High, second.High, block[Int5Panels.HighAt..], lane);
            PutPair(first.Low, second.Low, block[Int5Panels.CodesAt..], lane);
        })));

    /// <summary>Rows of Q5_1 blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<Q5_1> blocks) =>
        PanelProduct.OfIntegers(Fill<Int5OffsetPanels>(pool, rows, columns, Pairs(columns, blocks, (in first, in second, block, lane) =>
        {
            PutScale(block, 0, lane, first.Scale);
            PutScale(block, 1, lane, second.Scale);
            PutScale(block, 2, lane, -first.Min);
            PutScale(block, 3, lane, -second.Min);
            PutFifthBits(first.High, second.High, block[Int5OffsetPanels.HighAt..], lane);
            PutPair(first.Low, second.Low, block[Int5OffsetPanels.CodesAt..], lane);
        })));

    /// <summary>Rows of IQ4_NL blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<IQ4_NL> blocks) =>
        PanelProduct.OfIntegers(Fill<LevelPanels<NonLinearTable>>(pool, rows, columns, Pairs(columns, blocks, (in first, in second, block, lane) =>
        {
            PutScale(block, 0, lane, first.Scale);
            PutScale(block, 1, lane, second.Scale);
            PutPair(first.Values, second.Values, block[LevelPanels<NonLinearTable>.CodesAt..], lane);
        })));

    /// <summary>Rows of MXFP4 blocks.</summary>
    public static PanelProduct Pack(WorkerPool pool, int rows, int columns, ReadOnlyMemory<MXFP4> blocks) =>
        PanelProduct.OfIntegers(Fill<LevelPanels<Float4Table>>(pool, rows, columns, Pairs(columns, blocks, (in first, in second, block, lane) =>
        {
            PutScale(block, 0, lane, first.Scale);
            PutScale(block, 1, lane, second.Scale);
            PutPair(first.Values, second.Values, block[LevelPanels<Float4Table>.CodesAt..], lane);
        })));

    /// <summary>Puts two neighbouring blocks of an output into its lane; the second is zeros where a row ends before it.</summary>
    delegate void PutBlocks<TBlock>(in TBlock first, in TBlock second, Span<byte> block, int lane);

    static LaneRow Pairs<TBlock>(int columns, ReadOnlyMemory<TBlock> blocks, PutBlocks<TBlock> put) where TBlock : unmanaged, IBlock<TBlock>
    {
        int blocksPerRow = columns / TBlock.Size;
        return (row, at) =>
        {
            ReadOnlySpan<TBlock> from = blocks.Span.Slice(row * blocksPerRow, blocksPerRow);
            for (int i = 0; i < from.Length; i += 2)
                put(from[i], i + 1 < from.Length ? from[i + 1] : default, at[i / 2], at.Lane);
        };
    }

    // Bit 4 f + j of a block becomes bit f of byte j.
    static void PutFifthBits(uint first, uint second, Span<byte> rows, int lane)
    {
        Span<uint> to = MemoryMarshal.Cast<byte, uint>(rows);
        for (int i = 0; i < Steps; i++)
        {
            to[lane] |= (first >> i & 1) << i % 4 * 8 + i / 4;
            to[Lanes + lane] |= (second >> i & 1) << i % 4 * 8 + i / 4;
        }
    }
}
