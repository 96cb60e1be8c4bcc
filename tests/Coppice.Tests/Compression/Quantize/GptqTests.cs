using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Tensors.Simd;
using Coppice.Tests.Tensors.Simd;

namespace Coppice.Tests.Compression.Quantize;

[Collection(SimdCollection.Name)]
public class GptqTests
{
    [Fact]
    public void An_error_is_taken_up_by_the_columns_that_are_left()
    {
        // H = [[2, 1], [1, 1]] + 0: H^-1 = [[1, -1], [-1, 2]]. Grid of 0.5. Row 0 is (0.8, 1.75): 0.8 rounds to 1, an error of -0.2, so that w_2 becomes
        // 1.75 - (-0.2 / 1) * -1 = 1.55, which rounds to 1.5; plain rounding takes 1.75 to the even 2. U is diag(H^-1)'s Cholesky factor: [[1, -1], [0, 1]].
        Grid grid = new(1, 2, bits: 4, groupSize: 2, symmetric: true);
        grid.Scales[0] = (Half)0.5;
        grid.Zeros[0] = 8;
        GptqSolver.Solve(Samples.Pool, [0.8f, 1.75f], [1, -1, 0, 1], [0, 1], GptqSolver.Block, new ToGrid(grid, mask: null), new float[2]);
        Assert.Equal([1, 1.5f], grid.ToDense());
    }

    [Fact]
    public void A_pruned_weight_is_an_error_of_its_whole_size()
    {
        // As above, with the first column pruned: w_2 becomes 1.75 - 0.8 * -1 = 2.55, which rounds to 2.5.
        Grid grid = new(1, 2, bits: 4, groupSize: 2, symmetric: true);
        grid.Scales[0] = (Half)0.5;
        grid.Zeros[0] = 8;
        GptqSolver.Solve(Samples.Pool, [0.8f, 1.75f], [1, -1, 0, 1], [0, 1], GptqSolver.Block, new ToGrid(grid, [false, true]), new float[2]);
        Assert.Equal([0, 2.5f], grid.ToDense());
    }

    [Theory]
    [InlineData(4, 16, true, ColumnOrder.Natural, false)]
    [InlineData(4, 16, true, ColumnOrder.ActOrder, false)]
    [InlineData(3, 160, false, ColumnOrder.Natural, false)]
    [InlineData(2, 32, false, ColumnOrder.ActOrder, true)]
    [InlineData(4, 32, true, ColumnOrder.Natural, true)]
    [InlineData(8, 40, false, ColumnOrder.Natural, true)]
    public void The_blocked_solver_rounds_as_the_definition_does(int bits, int groupSize, bool symmetric, ColumnOrder order, bool pruned)
    {
        const int columns = 160, rows = 3;
        float[] weights = Samples.Gaussian(rows * columns, 31), x = Samples.Inputs(400, columns, 32);
        InputStatistics inputs = Samples.Statistics(x, columns);
        bool[]? mask = pruned ? [.. Enumerable.Range(0, weights.Length).Select(i => i % 3 != 1)] : null;

        double[,] h = new double[columns, columns];
        double mean = 0;
        for (int t = 0; t < 400; t++)
            for (int i = 0; i < columns; i++)
                for (int j = 0; j < columns; j++)
                    h[i, j] += (double)x[t * columns + i] * x[t * columns + j] / 400;
        for (int i = 0; i < columns; i++)
            mean += h[i, i] / columns;
        int[] places = [.. Enumerable.Range(0, columns)];
        if (order == ColumnOrder.ActOrder)
            places = [.. places.OrderByDescending(i => h[i, i])];
        double[,] damped = (double[,])h.Clone();
        for (int i = 0; i < columns; i++)
            damped[i, i] += 0.01 * mean;

        int top = (1 << bits) - 1;
        int[] wanted = new int[weights.Length];
        Dictionary<int, (double Scale, int Zero)> scales = [];
        double[] spread = mask is null ? [.. weights.Select(value => (double)value)]
            : ReferenceGptq.Settle(weights, damped, places, (row, c, w) => mask[row * columns + c] ? w[c] : 0);
        ReferenceGptq.Settle(weights, damped, places, (row, c, w) =>
        {
            // In natural order a group is fitted when it is reached; otherwise to the weights as they are once the pruned ones are made up for.
            int first = c / groupSize * groupSize, key = row * columns + first;
            if (!scales.ContainsKey(key))
                scales[key] = Fit([.. Enumerable.Range(first, groupSize).Select(j => mask is not null && !mask[row * columns + j] ? 0 : order == ColumnOrder.Natural ? w[j] : spread[row * columns + j])]);
            (double scale, int zero) = scales[key];
            int code = mask is null || mask[row * columns + c] ? Math.Clamp((int)Math.Round(w[c] / scale) + zero, 0, top) : zero;
            wanted[row * columns + c] = code;
            return scale * (code - zero);
        });

        (double Scale, int Zero) Fit(double[] values)
        {
            double low = Math.Min(0, values.Min()), high = Math.Max(0, values.Max());
            double scale = (double)(Half)(symmetric ? 2 * Math.Max(high, -low) / top : (high - low) / top);
            return (scale, symmetric ? 1 << (bits - 1) : Math.Clamp((int)Math.Round(-low / scale), 0, top));
        }

        LayerWork work = Samples.Work(weights, columns, inputs);
        work.Mask = mask;
        Gptq step = new() { Bits = bits, GroupSize = groupSize, Symmetric = symmetric, Order = order, Range = RangeFit.AbsMax, Sweeps = 0 };
        step.Apply(work);
        Grid plain = new(rows, columns, bits, groupSize, symmetric);
        RoundToNearest.Round(Samples.Pool, work.Masked(), GridRange.AbsMax, plain);
        for (int row = 0; row < rows; row++)
        {
            byte[] codes = work.Grid!.Codes[(row * columns)..((row + 1) * columns)];
            if (!codes.SequenceEqual(plain.Codes[(row * columns)..((row + 1) * columns)]))
                Assert.Equal(wanted[(row * columns)..((row + 1) * columns)], codes.Select(code => (int)code));
        }
        // Plain rounding may serve a row better, but not all of them.
        Assert.NotEqual(plain.Codes, work.Grid!.Codes);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    public void No_row_is_worse_than_plain_rounding(int seed)
    {
        Random random = new(seed);
        for (int trial = 0; trial < 6; trial++)
        {
            int groupSize = new[] { 8, 16, 40, -1 }[random.Next(4)], columns = 80, rows = random.Next(1, 20);
            float[] weights = Samples.Gaussian(rows * columns, random.Next()), x = Samples.Inputs(random.Next(20, 200), columns, random.Next());
            // Dead and collinear channels, fewer tokens than channels: the cases in which the inverse is at its worst.
            for (int t = 0; t < x.Length; t += columns)
                (x[t + 3], x[t + 5]) = (0, x[t + 4]);
            InputStatistics inputs = Samples.Statistics(x, columns);
            LayerWork work = Samples.Work(weights, columns, inputs), plain = Samples.Work(weights, columns);
            if (random.Next(2) == 0)
            {
                new Wanda { Sparsity = 0.4 }.Apply(work);
                plain.Mask = work.Mask;
            }
            int bits = random.Next(2, 9);
            bool symmetric = random.Next(2) == 0;
            ColumnOrder order = random.Next(2) == 0 ? ColumnOrder.Natural : ColumnOrder.ActOrder;
            new Gptq { Bits = bits, GroupSize = groupSize, Symmetric = symmetric, Order = order }.Apply(work);
            new RoundToNearest { Bits = bits, GroupSize = groupSize, Symmetric = symmetric }.Apply(plain);
            float[] ours = work.Grid!.ToDense(), theirs = plain.Grid!.ToDense();
            for (int row = 0; row < rows; row++)
            {
                double error = Samples.RowObjective(weights, ours, x, columns, row), floor = Samples.RowObjective(weights, theirs, x, columns, row);
                Assert.True(error <= floor * 1.0001 + 1e-9, $"bits {bits}, groups {groupSize}, {order}, row {row}: {error} over {floor}");
            }
            for (int i = 0; work.Mask is not null && i < ours.Length; i++)
                if (!work.Mask[i])
                    Assert.Equal(0, ours[i]);
        }
    }

    [Theory]
    [InlineData(ColumnOrder.Natural)]
    [InlineData(ColumnOrder.ActOrder)]
    public void On_inputs_that_mix_it_at_least_halves_what_plain_rounding_loses(ColumnOrder order)
    {
        float[] weights = Samples.Gaussian(32 * 128, 41), x = Samples.Inputs(600, 128, 42);
        LayerWork work = Samples.Work(weights, 128, Samples.Statistics(x, 128)), plain = Samples.Work(weights, 128);
        new Gptq { GroupSize = 32, Order = order }.Apply(work);
        new RoundToNearest { GroupSize = 32 }.Apply(plain);
        double error = Samples.Objective(weights, work.Grid!.ToDense(), x, 128), floor = Samples.Objective(weights, plain.Grid!.ToDense(), x, 128);
        Assert.True(error < floor / 2, $"{error} against {floor}");
    }

    [Fact]
    public void After_pruning_it_makes_up_for_what_is_gone()
    {
        float[] weights = Samples.Gaussian(16 * 64, 51), x = Samples.Inputs(300, 64, 52);
        LayerWork work = Samples.Work(weights, 64, Samples.Statistics(x, 64));
        new Wanda { Pattern = new SparsityPattern(2, 4) }.Apply(work);
        double prunedAlone = Samples.Objective(weights, work.Masked(), x, 64);
        new Gptq { Bits = 8, GroupSize = 32 }.Apply(work);
        double error = Samples.Objective(weights, work.Grid!.ToDense(), x, 64);
        Assert.True(error < 0.7 * prunedAlone, $"{error} against {prunedAlone}");
    }

    [Fact]
    public void Dampening_is_raised_with_a_warning_where_there_is_no_factor()
    {
        // Ten tokens for 32 channels: without damping the Gram matrix has no inverse.
        LayerWork work = Samples.Work(Samples.Gaussian(4 * 32, 61), 32, Samples.Statistics(Samples.Inputs(10, 32, 62), 32));
        new Gptq { GroupSize = 16, Dampening = 1e-16 }.Apply(work);
        Assert.Contains("layer: the inputs' Gram matrix has no Cholesky factor at dampening 1E-16; raised to", Assert.Single(work.Warnings));
        Assert.NotNull(work.Grid);
    }

    [Fact]
    public void Inputs_of_nothing_but_zeros_leave_plain_rounding_with_a_warning()
    {
        float[] weights = Samples.Gaussian(4 * 32, 63);
        LayerWork work = Samples.Work(weights, 32, Samples.Statistics(new float[64], 32)), plain = Samples.Work(weights, 32);
        new Gptq { GroupSize = 16 }.Apply(work);
        new RoundToNearest { GroupSize = 16 }.Apply(plain);
        Assert.Contains("rounds to nearest", Assert.Single(work.Warnings));
        Assert.Equal(plain.Grid!.Codes, work.Grid!.Codes);
    }

    [Fact]
    public void Vectors_of_any_width_find_the_same_codes_and_scales()
    {
        float[] weights = Samples.Gaussian(37 * 200, 81);
        InputStatistics inputs = Samples.Statistics(Samples.Inputs(300, 200, 82), 200);
        // One factor for all: what is compared is the recursion and the search.
        Grid? first = null;
        foreach (SimdLevel level in SimdTesting.Levels)
        {
            using IDisposable chosen = SimdLevel.Select(level);
            LayerWork work = Samples.Work(weights, 200, inputs);
            new Gptq { GroupSize = 40, Symmetric = false }.Apply(work);
            first ??= work.Grid;
            Assert.Equal(first!.Codes, work.Grid!.Codes);
            Assert.Equal(first.Scales, work.Grid.Scales);
        }
    }

    [Fact]
    public void Layers_with_the_same_inputs_share_a_factor_until_those_change()
    {
        float[] x = Samples.Inputs(100, 64, 92);
        InputStatistics inputs = Samples.Statistics(x, 64);
        GptqFactor factor = Factor(ColumnOrder.ActOrder, 0.01);
        Assert.Same(factor, Factor(ColumnOrder.ActOrder, 0.01));
        Assert.NotSame(factor, Factor(ColumnOrder.Natural, 0.01));
        Assert.NotEqual(factor.Upper, Factor(ColumnOrder.ActOrder, 0.1).Upper);
        inputs.Add(Samples.Pool, x.AsSpan(0, 640));
        Assert.NotEqual(factor.Upper, Factor(ColumnOrder.ActOrder, 0.01).Upper);

        GptqFactor Factor(ColumnOrder order, double dampening) => GptqFactor.Of(Samples.Pool, inputs, order, dampening, default);
    }

    [Fact]
    public void Threads_change_nothing()
    {
        float[] weights = Samples.Gaussian(70 * 192, 71);
        InputStatistics inputs = Samples.Statistics(Samples.Inputs(300, 192, 72), 192);
        byte[][] codes = [.. new[] { 1, 2, 3 }.Select(threads =>
        {
            using Coppice.Tensors.WorkerPool pool = new(threads);
            LayerWork work = new("layer", 70, 192, weights, pool) { Inputs = inputs };
            new Gptq { GroupSize = 64 }.Apply(work);
            return work.Grid!.Codes;
        })];
        Assert.Equal(codes[0], codes[1]);
        Assert.Equal(codes[0], codes[2]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Sweeps_over_the_codes_serve_the_objective_and_leave_what_is_pruned(bool isPruned)
    {
        const int Rows = 24, Columns = 96;
        float[] weights = Samples.Gaussian(Rows * Columns, 31), inputs = Samples.Inputs(300, Columns, 32);
        double none = Objective(0), one = Objective(1), four = Objective(4);
        Assert.True(one < none, $"{one} of {none}");
        Assert.True(four < one, $"{four} of {one}");

        double Objective(int sweeps)
        {
            LayerWork work = Samples.Work(weights, Columns, Samples.Statistics(inputs, Columns));
            work.Mask = isPruned ? [.. Enumerable.Range(0, weights.Length).Select(i => i % 3 != 0)] : null;
            new Gptq { Bits = 3, GroupSize = 32, Sweeps = sweeps }.Apply(work);
            float[] stored = work.Grid!.ToDense();
            Assert.True(work.Mask is null || stored.Where((_, i) => !work.Mask[i]).All(value => value == 0));
            return LayerObjective.Errors(work, work.Inputs!.Gram, work.Grid.Unpack).Sum();
        }
    }
}
