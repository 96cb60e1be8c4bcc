using Coppice.Compression;
using Coppice.Compression.Quantize;

namespace Coppice.Tests.Compression.Quantize;

public class GridRangeTests
{
    [Fact]
    public void A_lone_large_number_is_clipped_where_that_costs_less()
    {
        float[] values = [.. Enumerable.Range(0, 511).Select(i => 0.1f * MathF.Sin(i)), 0.3f];
        (Half scale, byte zero) = new GridRange(RangeFit.SquaredError, []).Fit(values, 0, 4, symmetric: true);
        (Half whole, _) = GridRange.AbsMax.Fit(values, 0, 4, symmetric: true);
        Assert.True(scale < whole);
        Assert.True(Error(values, scale, zero, 4) < Error(values, whole, zero, 4));
    }

    [Fact]
    public void An_input_that_counts_more_is_met_more_closely()
    {
        float[] values = [.. Enumerable.Range(0, 511).Select(i => 0.1f * MathF.Sin(i)), 0.3f], importance = new float[512];
        Array.Fill(importance, 1);
        importance[511] = 1000;
        Assert.True(Miss(new GridRange(RangeFit.SquaredError, importance)) < 0.5 * Miss(new GridRange(RangeFit.SquaredError, [])));

        double Miss(GridRange range)
        {
            (Half scale, byte zero) = range.Fit(values, 0, 4, symmetric: true);
            return Math.Sqrt(Error([values[511]], scale, zero, 4));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_searched_range_is_never_worse_than_the_whole(bool symmetric)
    {
        for (int seed = 0; seed < 50; seed++)
        {
            float[] values = Samples.Gaussian(32, seed);
            (Half scale, byte zero) = new GridRange(RangeFit.SquaredError, []).Fit(values, 0, 4, symmetric);
            (Half whole, byte wholeZero) = GridRange.AbsMax.Fit(values, 0, 4, symmetric);
            Assert.True(Error(values, scale, zero, 4) <= Error(values, whole, wholeZero, 4) * 1.0001);
        }
    }

    [Fact]
    public void Scales_fitted_to_the_outputs_lower_their_error()
    {
        const int rows = 6, columns = 64;
        float[] weights = Samples.Gaussian(rows * columns, 3), x = Samples.Inputs(300, columns, 4);
        InputStatistics inputs = Samples.Statistics(x, columns);
        Grid grid = new(rows, columns, 3, 16, symmetric: true);
        RoundToNearest.Round(Samples.Pool, weights, GridRange.AbsMax, grid);
        float[] before = grid.ToDense();
        ScaleRefit.Fit(Samples.Pool, weights, inputs.Gram.ToArray(), grid);
        for (int row = 0; row < rows; row++)
            Assert.True(Samples.RowObjective(weights, grid.ToDense(), x, columns, row) < Samples.RowObjective(weights, before, x, columns, row));
    }

    [Fact]
    public void Scales_that_are_right_already_stay()
    {
        const int columns = 32;
        Grid grid = new(1, columns, 4, 16, symmetric: true);
        new Random(5).NextBytes(grid.Codes);
        for (int i = 0; i < columns; i++)
            grid.Codes[i] &= 15;
        (grid.Scales[0], grid.Scales[1], grid.Zeros[0], grid.Zeros[1]) = ((Half)0.125, (Half)0.5, 8, 8);
        ScaleRefit.Fit(Samples.Pool, grid.ToDense(), Samples.Statistics(Samples.Inputs(200, columns, 6), columns).Gram.ToArray(), grid);
        Assert.Equal(0.125, (double)grid.Scales[0], 1e-4);
        Assert.Equal(0.5, (double)grid.Scales[1], 1e-3);
    }

    static double Error(float[] values, Half scale, byte zero, int bits) =>
        values.Sum(value => Math.Pow(value - (float)scale * (UniformGrid.Code(value, (float)scale, zero, bits) - zero), 2));
}
