using Coppice.Weights;

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
        int place = row * grid.Columns + column, group = row * grid.Groups + column / grid.GroupSize;
        byte code = mask is null || mask[place] ? grid.Nearest(current[0], group) : grid.ZeroOf(group);
        grid.Codes[place] = code;
        return (float)grid.Scales[group] * grid.Unit(code, group);
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
