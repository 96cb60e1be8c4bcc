using Coppice.Tensors;

namespace Coppice.Compression.Quantize;

/// <summary>Every number to the nearest of the grid that its group's range spans: no calibration, and the floor for every other quantizer.</summary>
public sealed record RoundToNearest : QuantizeStep
{
    /// <inheritdoc/>
    public override string Key => "roundToNearest";

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        work.Grid = NewGrid(work);
        Round(work.Pool, work.Masked(), RangeOf(work), work.Grid);
    }

    /// <summary>Fits and fills <paramref name="grid"/> from weights [rows, columns], each row by itself.</summary>
    internal static void Round(WorkerPool pool, float[] weights, GridRange range, Grid grid)
    {
        if (grid.IsPerMatrix && grid.Rows > 0)
        {
            (Half scale, byte zero) = range.Fit(weights, 0, grid);
            grid.Scales.AsSpan().Fill(scale);
            grid.Zeros.AsSpan().Fill(zero);
        }
        RowJob job = new(weights, range, grid);
        pool.Run(grid.Rows, ref job);
    }

    readonly struct RowJob(float[] weights, GridRange range, Grid grid) : IJob
    {
        public void Execute(int part)
        {
            int size = grid.GroupSize;
            for (int group = part * grid.Groups; group < (part + 1) * grid.Groups; group++)
            {
                ReadOnlySpan<float> values = weights.AsSpan(group * size, size);
                if (!grid.IsPerMatrix)
                    (grid.Scales[group], grid.Zeros[group]) = range.Fit(values, group % grid.Groups * size, grid);
                float scale = (float)grid.Scales[group];
                Span<byte> codes = grid.Codes.AsSpan(group * size, size);
                for (int i = 0; i < size; i++)
                    codes[i] = grid.Levels is null ? UniformGrid.Code(values[i], scale, grid.Zeros[group], grid.Bits) : grid.Nearest(values[i], group);
            }
        }
    }
}
