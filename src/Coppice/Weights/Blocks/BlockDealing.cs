using System.Runtime.CompilerServices;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Weights.Blocks;

/// <summary>How blocks of a storage are dealt out to the lanes of a panel.</summary>
internal unsafe interface IBlockDealer<TBlock> where TBlock : unmanaged
{
    /// <summary>Puts what <paramref name="lanes"/> rows have at one place of the inner dimension into the panel's block there, which is zeros so far.</summary>
    /// <param name="rows">The first row's stored block.</param>
    /// <param name="blocksPerRow">Stored blocks from one row to the next.</param>
    /// <param name="count">Stored blocks that a row has from here on, at least 1; as many as fit the panel's block are taken.</param>
    /// <param name="lanes">Rows.</param>
    /// <param name="block">The panel's block.</param>
    static abstract void Deal(TBlock* rows, int blocksPerRow, int count, int lanes, byte* block);
}

/// <summary>Fills panels from rows of llama.cpp's blocks, a share of the panels on each thread, place after place, so that what is written stays in the first cache.</summary>
internal static unsafe class BlockDealing
{
    /// <summary>Panels of the matrix [rows, columns] whose <paramref name="blocks"/> are row-major.</summary>
    public static PanelProduct Pack<TBlock, TPanels, TDealer>(WorkerPool pool, int rows, int columns, ReadOnlyMemory<TBlock> blocks)
        where TBlock : unmanaged, IBlock<TBlock> where TPanels : struct, IIntegerPanels where TDealer : struct, IBlockDealer<TBlock>
    {
        PackedPanels<TPanels> panels = new(rows, columns);
        Job<TBlock, TPanels, TDealer> job = new() { Panels = panels, Blocks = blocks, BlocksPerRow = columns / TBlock.Size, Parts = Math.Min(pool.Threads, Math.Max(panels.PanelCount, 1)) };
        pool.Run(job.Parts, ref job);
        return PanelProduct.OfIntegers(panels);
    }

    struct Job<TBlock, TPanels, TDealer> : IJob
        where TBlock : unmanaged, IBlock<TBlock> where TPanels : struct, IIntegerPanels where TDealer : struct, IBlockDealer<TBlock>
    {
        public PackedPanels<TPanels> Panels;
        public ReadOnlyMemory<TBlock> Blocks;
        public int BlocksPerRow, Parts;

        // The rows of a panel are read as one run: they lie one behind another.
        public readonly void Execute(int part)
        {
            (int first, int count) = Split.Part(Panels.PanelCount, 1, Parts, part);
            using FileRun<TBlock> run = new(Blocks, TPanels.Lanes * BlocksPerRow);
            for (int panel = first; panel < first + count; panel++)
            {
                int row = panel * TPanels.Lanes, lanes = Math.Min(TPanels.Lanes, Panels.Outputs - row);
                fixed (TBlock* rows = run.Read(row * BlocksPerRow, lanes * BlocksPerRow))
                    Deal(rows, lanes, Panels.Start + (nint)panel * Panels.PanelBytes);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        readonly void Deal(TBlock* rows, int lanes, byte* to)
        {
            int step = TPanels.BlockSteps / TBlock.Size;
            for (int at = 0; at < BlocksPerRow; at += step, to += TPanels.BlockBytes)
                TDealer.Deal(rows + at, BlocksPerRow, BlocksPerRow - at, lanes, to);
        }
    }
}
