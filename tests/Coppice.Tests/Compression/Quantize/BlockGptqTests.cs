using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Compression.Quantize;

public class BlockGptqTests
{
    public static TheoryData<string> Names => [.. BlockFormat.All.Select(format => format.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Error_feedback_loses_less_of_the_outputs_than_any_search_and_sweeps_less_again(string name)
    {
        BlockFormat format = BlockFormat.Find(name)!;
        int columns = 512, rows = 6;
        float[] weights = Samples.Gaussian(rows * columns, 3), x = Samples.Inputs(900, columns, 4);
        InputStatistics inputs = Samples.Statistics(x, columns);
        double nearest = Objective(BlockRounding.Nearest, 0), weighted = Objective(BlockRounding.Weighted, 0), gptq = Objective(BlockRounding.Gptq, 0), swept = Objective(BlockRounding.Gptq, 3);
        Assert.True(gptq < 0.8 * Math.Min(nearest, weighted), $"{gptq} of {nearest} and {weighted}");
        Assert.True(swept < gptq, $"{swept} of {gptq}");

        double Objective(BlockRounding rounding, int sweeps)
        {
            LayerWork work = Samples.Work(weights, columns, inputs);
            new GgufBlock { Type = format, Rounding = rounding, Sweeps = sweeps }.Apply(work);
            float[] stored = Packing.Pack(work).ToDense();
            return Enumerable.Range(0, rows).Sum(row => Samples.RowObjective(weights, stored, x, columns, row));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void No_row_is_worse_than_the_weighted_search(string name)
    {
        BlockFormat format = BlockFormat.Find(name)!;
        int columns = 256, rows = 5;
        float[] weights = Samples.Gaussian(rows * columns, 13), x = Samples.Inputs(60, columns, 14);
        // A dead channel, two that are the same, fewer tokens than channels.
        for (int t = 0; t < x.Length; t += columns)
            (x[t + 3], x[t + 5]) = (0, x[t + 4]);
        InputStatistics inputs = Samples.Statistics(x, columns);
        LayerWork work = Samples.Work(weights, columns, inputs), plain = Samples.Work(weights, columns, inputs);
        new GgufBlock { Type = format, Rounding = BlockRounding.Gptq }.Apply(work);
        new GgufBlock { Type = format, Rounding = BlockRounding.Weighted }.Apply(plain);
        float[] ours = Packing.Pack(work).ToDense(), theirs = Packing.Pack(plain).ToDense();
        for (int row = 0; row < rows; row++)
            Assert.True(Samples.RowObjective(weights, ours, x, columns, row) <= 1.0001 * Samples.RowObjective(weights, theirs, x, columns, row) + 1e-9);
        Assert.All(ours, value => Assert.True(float.IsFinite(value)));
    }

    [Fact]
    public void A_sweep_moves_a_code_to_what_the_others_leave_for_it()
    {
        // Two columns that always read the same input, levels of 1 apart from q4_0's scale of 1: 0.4 + 0.4 stands for 0.8, so that one of them has to become 1.
        float[] weights = new float[32];
        (weights[0], weights[1], weights[2]) = (0.4f, 0.4f, -8);
        float[] x = Samples.Inputs(200, 32, 9);
        for (int t = 0; t < x.Length; t += 32)
            x[t + 1] = x[t];
        InputStatistics inputs = Samples.Statistics(x, 32);
        LayerWork work = Samples.Work(weights, 32, inputs);
        BlockGrid grid = new(BlockFormat.Of<Q4_0>(), 1, 32);
        grid.Parts(0).FillOneGroup((Half)1);
        for (int i = 0; i < 32; i++)
            grid.Settle(i, weights[i]);
        float[] stored = new float[32];
        grid.Unpack(0, stored);
        Assert.Equal((0, 0), (stored[0], stored[1]));
        BlockDescent.Run(work, grid, inputs, dampening: 1e-6, sweeps: 1);
        grid.Unpack(0, stored);
        Assert.Equal(0.8f, stored[0] + stored[1], 0.25f);
    }

    [Fact]
    public void What_was_pruned_stays_as_near_zero_as_the_type_has_it()
    {
        int columns = 256;
        float[] weights = Samples.Gaussian(2 * columns, 3), x = Samples.Inputs(600, columns, 4);
        LayerWork work = Samples.Work(weights, columns, Samples.Statistics(x, columns));
        work.Mask = [.. weights.Select((_, i) => i % 3 != 0)];
        new GgufBlock { Type = BlockFormat.Of<Q4_0>(), Rounding = BlockRounding.Gptq }.Apply(work);
        float[] stored = Packing.Pack(work).ToDense();
        for (int i = 0; i < stored.Length; i += 3)
            Assert.Equal(0, stored[i]);
    }
}
