using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Compression.Quantize;

/// <summary>GPTQ's error feedback into llama.cpp's blocks: the parts of a block are searched with each input's mean square for its importance, then codes are settled column after column (Frantar et al. 2022), of codebooks run after run, then codes and parts in turn by <see cref="BlockDescent"/>.</summary>
static class BlockGptq
{
    /// <summary>The parts for a matrix on the bench; a row that the search alone serves better keeps what that found.</summary>
    public static BlockGrid Solve(LayerWork work, BlockFormat format, InputStatistics inputs, double dampening, int sweeps)
    {
        GptqFactor factor = GptqFactor.Of(work, inputs, ColumnOrder.ActOrder, dampening, format.Shape.Codebook is null ? 1 : Codebook.Run);
        float[] weights = work.Mask is null ? work.Original : work.Masked();
        BlockGrid searched = BlockGrid.Search(work.Pool, format, work.Columns, weights, inputs.MeanSquares()), grid = searched.Clone();
        if (format.Shape.Codebook is null)
            GptqSolver.Solve(work.Pool, work.Original, factor.Upper, factor.Places, GptqSolver.Block, new ToBlockGrid(grid, work.Mask), new float[work.Original.Length], work.Cancel);
        else
            GptqSolver.Solve(work.Pool, work.Original, factor.Upper, factor.Places, GptqSolver.Block, new ToBlockRuns(grid, ToBlockRuns.MetricsOf(factor)), new float[work.Original.Length], work.Cancel);
        BlockDescent.Run(work, grid, inputs, factor.Used, sweeps);
        double[] plain = LayerObjective.Errors(work, inputs.Gram, searched.Unpack), fed = LayerObjective.Errors(work, inputs.Gram, grid.Unpack);
        for (int row = 0; row < work.Rows; row++)
            if (plain[row] <= fed[row])
                grid.CopyRow(searched, row);
        return grid;
    }
}
