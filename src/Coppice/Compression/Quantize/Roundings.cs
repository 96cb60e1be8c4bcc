using System.Numerics.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Compression.Quantize;

/// <summary>Where a weight ends, as the solver reaches it.</summary>
internal interface IRounding
{
    /// <summary>Settles the weight at a place, whose current value is the first of <paramref name="current"/>; those that the block settles after it follow, each <paramref name="stride"/> further.</summary>
    float Round(int row, int column, ReadOnlySpan<float> current, int stride);
}

/// <summary>To the grid, whose scales are given; what is pruned goes to 0.</summary>
internal readonly struct ToGrid(Grid grid, bool[]? mask) : IRounding
{
    public float Round(int row, int column, ReadOnlySpan<float> current, int stride)
    {
        int place = row * grid.Columns + column;
        return grid.Settle(place, mask is null || mask[place] ? current[0] : 0);
    }
}

/// <summary>To the grid, whose scales are fitted to each group as it is reached, with the errors so far in it. For the natural order and blocks that hold whole groups.</summary>
internal readonly struct ToFittedGrid(Grid grid, GridRange range, bool[]? mask) : IRounding
{
    readonly ToGrid toGrid = new(grid, mask);

    public float Round(int row, int column, ReadOnlySpan<float> current, int stride)
    {
        if (column % grid.GroupSize == 0)
        {
            // What is pruned stays 0 and so does not widen the range.
            Span<float> values = grid.GroupSize <= 1024 ? stackalloc float[grid.GroupSize] : new float[grid.GroupSize];
            for (int i = 0; i < values.Length; i++)
                values[i] = current[i * stride];
            if (mask is not null)
                for (int i = 0; i < values.Length; i++)
                    if (!mask[row * grid.Columns + column + i])
                        values[i] = 0;
            int group = row * grid.Groups + column / grid.GroupSize;
            (grid.Scales[group], grid.Zeros[group]) = range.Fit(values, column, grid);
        }
        return toGrid.Round(row, column, current, stride);
    }
}

/// <summary>Nowhere but for what is pruned, which goes to 0: the rest make up for it unrounded (Frantar and Alistarh 2023). Values go to <paramref name="settled"/>.</summary>
internal readonly struct ToMask(bool[] mask, int columns, float[] settled) : IRounding
{
    public float Round(int row, int column, ReadOnlySpan<float> current, int stride)
    {
        int place = row * columns + column;
        return settled[place] = mask[place] ? current[0] : 0;
    }
}

/// <summary>To the levels of a block's parts, which are given; what is pruned goes as near 0 as they do.</summary>
internal readonly struct ToBlockGrid(BlockGrid grid, bool[]? mask) : IRounding
{
    public float Round(int row, int column, ReadOnlySpan<float> current, int stride)
    {
        int place = row * grid.Columns + column;
        return grid.Settle(place, mask is null || mask[place] ? current[0] : 0);
    }
}

/// <summary>To the points of a codebook, a run at a time when its first weight is reached, in the metric of what its errors cost once later columns make up for them; scales are given. For orders that keep runs together.</summary>
/// <param name="metrics">Of each run [8, 8].</param>
internal readonly struct ToBlockRuns(BlockGrid grid, float[] metrics) : IRounding
{
    const int Run = Codebook.Run;

    public float Round(int row, int column, ReadOnlySpan<float> current, int stride)
    {
        int place = row * grid.Columns + column;
        if (column % Run == 0)
        {
            ReadOnlySpan<float> metric = metrics.AsSpan(column * Run, Run * Run);
            Span<float> numbers = stackalloc float[Run], pull = stackalloc float[Run];
            for (int i = 0; i < Run; i++)
                numbers[i] = current[i * stride];
            for (int i = 0; i < Run; i++)
                pull[i] = TensorPrimitives.Dot(metric.Slice(i * Run, Run), numbers);
            grid.SettleRun(place, metric, pull, numbers);
        }
        return grid.ValueAt(place);
    }

    /// <summary>(U^T U)^-1 of each run, U its rows and columns of the factor: what its errors cost.</summary>
    public static float[] MetricsOf(GptqFactor factor)
    {
        int columns = factor.Places.Length;
        float[] metrics = new float[columns * Run];
        double[] inverse = new double[Run * Run];
        for (int start = 0; start < columns; start += Run)
        {
            // V = U^-1, upper triangular, row by row from the last; then V V^T.
            for (int i = Run - 1; i >= 0; i--)
                for (int j = 0; j < Run; j++)
                {
                    double sum = i == j ? 1 : 0;
                    for (int k = i + 1; k < Run; k++)
                        sum -= factor.Upper[(start + i) * columns + start + k] * inverse[k * Run + j];
                    inverse[i * Run + j] = sum / factor.Upper[(start + i) * columns + start + i];
                }
            for (int i = 0; i < Run; i++)
                for (int j = 0; j < Run; j++)
                    metrics[factor.Places[start] * Run + i * Run + j] = (float)TensorPrimitives.Dot<double>(inverse.AsSpan(i * Run, Run), inverse.AsSpan(j * Run, Run));
        }
        return metrics;
    }
}
