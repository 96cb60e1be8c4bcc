using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Quantize;

/// <summary>Rounding to, and GPTQ on, tables of levels.</summary>
public class LevelGridTests
{
    [Theory]
    // The largest magnitude goes to the last level: 3 / 6; 1.1 / 0.5 = 2.2 is nearest to 2, -0.6 / 0.5 = -1.2 to -1.
    [InlineData(GridLevels.Fp4, new[] { 3, 1.1f, -0.6f, 0 }, new[] { 3, 1, -0.5f, 0 }, "fp4-g4")]
    // 3's exponent is 1, 6's is 2: a scale of 2^-1.
    [InlineData(GridLevels.MxFp4, new[] { 3, 1.1f, -0.6f, 0 }, new[] { 3, 1, -0.5f, 0 }, "mxfp4-g4")]
    // 3.9 needs 7.8, past the last level.
    [InlineData(GridLevels.MxFp4, new[] { 3.9f, 0, 0, 0 }, new[] { 3, 0, 0, 0f }, "mxfp4-g4")]
    // Powers: 0.3 / 2 = 0.15 is nearer to 0.125 than to 0.25; -1.6 / 2 = -0.8 to -1.
    [InlineData(GridLevels.PowerOfTwo, new[] { 2, 0.3f, -1.6f, 0 }, new[] { 2, 0.25f, -2, 0 }, "pow2_4-g4")]
    // Mean magnitude 1, threshold 0.7: the scale is the mean of 1 and 2.5; half of it is the border.
    [InlineData(GridLevels.Ternary, new[] { 1, -2.5f, 0.25f, -0.25f }, new[] { 1.75f, -1.75f, 0, 0 }, "ternary-g4")]
    [InlineData(GridLevels.Binary, new[] { 1, -2.5f, 0.25f, -0.25f }, new[] { 1, -1, 1, -1f }, "binary-g4")]
    // 448 is the last number of e4m3: a scale of 0.5, -0.3 / 0.5 = -0.6 between -0.5625 and -0.625.
    [InlineData(GridLevels.Fp8E4M3, new[] { 224, 1, -0.3f, 0 }, new[] { 224, 1, -0.3125f, 0 }, "f8_e4m3-g4")]
    // 7 to 1.75, a scale of 4; -0.3 / 4 = -0.075 between -0.0625 and -0.078125.
    [InlineData(GridLevels.Fp8E5M2, new[] { 7, 1, -0.3f, 0 }, new[] { 7, 1, -0.3125f, 0 }, "f8_e5m2-g4")]
    public void Numbers_go_to_the_nearest_level_of_the_whole_range(GridLevels levels, float[] weights, float[] stored, string kind)
    {
        LayerWork work = Samples.Work(weights, 4);
        new RoundToNearest { Levels = levels, GroupSize = 4 }.Apply(work);
        Assert.Equal(stored, work.Grid!.ToDense());
        Weight packed = Packing.Pack(work);
        Assert.Equal((kind, true), (packed.Kind, stored.AsSpan().SequenceEqual(packed.ToDense())));
    }

    [Fact]
    public void Levels_of_its_own_are_where_a_matrix_has_its_numbers()
    {
        // Over their group's largest: -1, -0.25, 0.5, 1 and -1, -0.25, 0.5, 0.5 alike.
        LayerWork work = Samples.Work([-4, -1, 2, 4, -8, -2, 4, 4], 4);
        new RoundToNearest { Levels = GridLevels.NonUniform, Bits = 2, GroupSize = 4 }.Apply(work);
        Assert.Equal([-1, -0.25f, 0.5f, 1], work.Grid!.Levels!.Levels.ToArray().Order());
        Assert.Equal(work.Original, work.Grid.ToDense());
        Assert.Equal("nonuniform2-g4", Packing.Pack(work).Kind);
    }

    [Fact]
    public void Levels_of_its_own_lose_less_than_even_ones()
    {
        float[] weights = Samples.Gaussian(8 * 256, 5);
        Assert.True(Miss(weights, new RoundToNearest { Levels = GridLevels.NonUniform, Bits = 3, GroupSize = 64 }) < 0.9 * Miss(weights, new RoundToNearest { Bits = 3, GroupSize = 64 }));
    }

    [Theory]
    [InlineData(GridLevels.Nf4), InlineData(GridLevels.Fp4), InlineData(GridLevels.MxFp4), InlineData(GridLevels.PowerOfTwo), InlineData(GridLevels.Ternary), InlineData(GridLevels.Binary), InlineData(GridLevels.NonUniform), InlineData(GridLevels.Fp8E5M2)]
    public void A_searched_scale_loses_no_more_than_the_plain_one(GridLevels levels)
    {
        float[] weights = Samples.Gaussian(8 * 128, 6);
        double plain = Miss(weights, new RoundToNearest { Levels = levels, GroupSize = 32 }), searched = Miss(weights, new RoundToNearest { Levels = levels, GroupSize = 32, Range = RangeFit.SquaredError });
        Assert.True(searched <= plain * (1 + 1e-9), $"{searched}, plain {plain}");
        // The mean magnitude is already the best scale for two levels.
        Assert.True(levels == GridLevels.Binary || searched < plain, $"{searched}, plain {plain}");
    }

    [Fact]
    public void The_best_scale_of_three_levels_is_found()
    {
        // All scales in steps of a thousandth, each number to the nearest of three.
        float[] weights = Samples.Gaussian(64, 7);
        double best = Enumerable.Range(1, 3000).Min(step => weights.Sum(w => new[] { 0, step / 1000.0, -step / 1000.0 }.Min(level => (w - level) * (w - level))));
        Assert.InRange(Miss(weights, new RoundToNearest { Levels = GridLevels.Ternary, GroupSize = 64, Range = RangeFit.SquaredError }, 64), 0.999 * best, 1.002 * best);
    }

    [Theory]
    [InlineData(GridLevels.Nf4, ColumnOrder.ActOrder), InlineData(GridLevels.Ternary, ColumnOrder.Natural), InlineData(GridLevels.MxFp4, ColumnOrder.StaticGroups), InlineData(GridLevels.Binary, ColumnOrder.ActOrder), InlineData(GridLevels.NonUniform, ColumnOrder.StaticGroups)]
    [InlineData(GridLevels.Int, ColumnOrder.StaticGroups)]
    public void Error_feedback_beats_rounding_on_every_grid(GridLevels levels, ColumnOrder order)
    {
        const int columns = 96, rows = 24;
        float[] weights = Samples.Gaussian(rows * columns, 8), x = Samples.Inputs(600, columns, 9);
        int bits = levels.Bits() ?? 3;
        LayerWork work = Samples.Work(weights, columns, Samples.Statistics(x, columns)), plain = Samples.Work(weights, columns, Samples.Statistics(x, columns));
        new Gptq { Levels = levels, Bits = bits, GroupSize = 32, Order = order }.Apply(work);
        new RoundToNearest { Levels = levels, Bits = bits, GroupSize = 32 }.Apply(plain);
        Assert.True(Samples.Objective(weights, work.Grid!.ToDense(), x, columns) < 0.8 * Samples.Objective(weights, plain.Grid!.ToDense(), x, columns));
        Assert.Equal(work.Grid.ToDense(), Packing.Pack(work).ToDense());
        if (levels == GridLevels.MxFp4)
            Assert.All(work.Grid.Scales, scale => Assert.True(LevelWeight.Holds(ScaleType.PowerOfTwo, (float)scale)));
    }

    [Fact]
    public void One_scale_serves_the_whole_matrix()
    {
        foreach (QuantizeStep step in (QuantizeStep[])[new RoundToNearest { Bits = 4, GroupSize = Grid.WholeMatrix, Range = RangeFit.SquaredError }, new Gptq { Bits = 4, GroupSize = Grid.WholeMatrix }])
        {
            LayerWork work = Samples.Work(Samples.Gaussian(6 * 32, 10), 32, Samples.Statistics(Samples.Inputs(200, 32, 11), 32));
            step.Apply(work);
            Assert.Single(work.Grid!.Scales.Distinct());
            Assert.Equal("int4-channel", Packing.Pack(work).Kind);
        }
        LayerWork narrow = Samples.Work([448, 1, -2, 0.5f], 2);
        new RoundToNearest { Levels = GridLevels.Fp8E4M3, GroupSize = Grid.WholeMatrix }.Apply(narrow);
        Assert.Equal(("f8_e4m3-tensor", 8L), (Packing.Pack(narrow).Kind, Packing.Pack(narrow).ByteCount));
    }

    [Fact]
    public void What_is_pruned_stays_zero_where_a_grid_has_one_and_is_refused_where_it_has_none()
    {
        LayerWork work = Samples.Work([100, 1, -0.5f, 0.25f], 4);
        work.Mask = [false, true, true, true];
        new RoundToNearest { Levels = GridLevels.NonUniform, Bits = 2, GroupSize = -1 }.Apply(work);
        Assert.Equal([0, 1, -0.5f, 0.25f], work.Grid!.ToDense());
        Assert.Equal("layer: roundToNearest: grid binary has no 0 for what was pruned; take ternary, or 'ignore' the matrix", Assert.Throws<CoppiceException>(() => new RoundToNearest { Levels = GridLevels.Binary, Bits = 1, GroupSize = -1 }.Apply(work)).Message);
    }

    static double Miss(float[] weights, RoundToNearest step, int columns = 128)
    {
        LayerWork work = Samples.Work(weights, columns);
        (step with { Bits = step.Levels.Bits() ?? step.Bits }).Apply(work);
        return work.Grid!.ToDense().Zip(weights, (q, w) => ((double)q - w) * (q - w)).Sum();
    }
}
