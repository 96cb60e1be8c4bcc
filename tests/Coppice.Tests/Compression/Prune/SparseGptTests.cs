using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Tests.Tensors.Simd;

namespace Coppice.Tests.Compression.Prune;

[Collection(SimdCollection.Name)]
public class SparseGptTests
{
    [Fact]
    public void What_goes_is_made_up_for_by_the_columns_that_are_left()
    {
        // H = [[2, 1], [1, 1]]: H^-1 = [[1, -1], [-1, 2]], U = [[1, -1], [0, 1]]. Row (0.8, 1.75) scores 0.8 and 1.75: the first goes, and 1.75 + 0.8 = 2.55 serves x_1 too.
        bool[] keep = new bool[2];
        float[] settled = new float[2];
        SparseGpt.Solve(Samples.Pool, [0.8f, 1.75f], [1, -1, 0, 1], 2, 0.5, null, keep, settled);
        Assert.Equal([false, true], keep);
        Assert.Equal([0, 2.55f], settled);
    }

    [Fact]
    public void A_weight_that_others_can_make_up_for_goes_before_a_smaller_one_that_they_cannot()
    {
        // U_11 = 4: 3 / 4 < 1 / 1, so that 3 goes, and takes 3 / 4 * U_12 = 1.5 with it.
        bool[] keep = new bool[2];
        float[] settled = new float[2];
        SparseGpt.Solve(Samples.Pool, [3, 1], [4, 2, 0, 1], 2, 0.5, new SparsityPattern(1, 2), keep, settled);
        Assert.Equal([false, true], keep);
        Assert.Equal([0, -0.5f], settled);
    }

    [Theory]
    [InlineData(5, 150, 0.5, null)]
    [InlineData(7, 131, 0.3, null)]
    [InlineData(1, 140, 0.7, null)]
    [InlineData(6, 1, 0.5, null)]
    [InlineData(1, 1, 0.5, null)]
    [InlineData(5, 136, 0, "2:4")]
    [InlineData(19, 136, 0, "4:8")]
    [InlineData(3, 132, 0, "1:4")]
    [InlineData(3, 150, 0, "2:3")]
    public void Blocks_lanes_and_a_factor_give_what_the_definition_does(int rows, int columns, double sparsity, string? n)
    {
        SparsityPattern? pattern = n is null ? null : SparsityPattern.TryParse(n, out SparsityPattern parsed) ? parsed : throw new ArgumentException(n);
        float[] weights = Samples.Gaussian(rows * columns, 101), x = Samples.Inputs(400, columns, 102);
        double[,] h = Damped(x, columns, 0.01);
        double[] wanted = SparseGptDefinition.Solve(weights, h, sparsity, pattern, SparseGpt.BlockFor(pattern));
        double loss = Loss(weights, wanted, h);

        double[] exact = [.. weights.Select(value => (double)value)], u = new double[columns * columns];
        Assert.True(Cholesky.InverseFactor(Samples.Pool, columns, Samples.RowsOf([.. h.Cast<double>()]), u));
        bool[] kept = SparseGptReference.Solve(exact, u, columns, sparsity, pattern);
        Assert.Equal(wanted.Select(value => value != 0), kept);
        Assert.InRange(Loss(weights, exact, h), loss * (1 - 1e-6) - 1e-12, loss * (1 + 1e-6) + 1e-12);

        LayerWork work = Samples.Work(weights, columns, Samples.Statistics(x, columns));
        new SparseGpt { Sparsity = pattern?.Sparsity ?? sparsity, Pattern = pattern }.Apply(work);
        double fast = Loss(weights, [.. work.Masked().Select(value => (double)value)], h);
        Assert.InRange(fast, loss * (1 - 1e-3) - 1e-9, loss * (1 + 1e-3) + 1e-9);
        Assert.True(work.Mask!.Zip(kept).Count(pair => pair.First != pair.Second) <= weights.Length / 500);
        Assert.Equal(kept.Count(value => value), work.Mask!.Count(value => value));
    }

    [Theory]
    [InlineData(0.3)]
    [InlineData(0.5)]
    [InlineData(0.8)]
    public void On_inputs_that_mix_it_loses_less_than_wanda_that_less_than_magnitude_and_that_less_than_chance(double sparsity)
    {
        for (int seed = 0; seed < 4; seed++)
        {
            float[] weights = Samples.Gaussian(24 * 160, seed), x = Samples.Inputs(500, 160, 100 + seed);
            InputStatistics inputs = Samples.Statistics(x, 160);
            double[] errors = [.. new PruneStep[] { new SparseGpt(), new Wanda(), new Magnitude(), new RandomPruning() }.Select(step =>
            {
                LayerWork work = Samples.Work(weights, 160, inputs);
                (step with { Sparsity = sparsity }).Apply(work);
                return Samples.Objective(weights, work.Masked(), x, 160);
            })];
            Assert.True(errors[0] < errors[1] && errors[1] < errors[2] && errors[2] < errors[3], string.Join(", ", errors));
        }
    }

    [Fact]
    public void Dead_and_collinear_inputs_and_fewer_tokens_than_inputs_are_no_trouble()
    {
        const int columns = 37;
        float[] weights = Samples.Gaussian(9 * columns, 111), x = Samples.Inputs(20, columns, 112);
        for (int t = 0; t < x.Length; t += columns)
            (x[t + 3], x[t + 5]) = (0, x[t + 4]);
        InputStatistics inputs = Samples.Statistics(x, columns);
        LayerWork work = Samples.Work(weights, columns, inputs), wanda = Samples.Work(weights, columns, inputs);
        new SparseGpt().Apply(work);
        new Wanda().Apply(wanda);
        for (int row = 0; row < 9; row++)
            Assert.False(work.Mask![row * columns + 3]);
        Assert.True(Samples.Objective(weights, work.Masked(), x, columns) < Samples.Objective(weights, wanda.Masked(), x, columns) / 2);
    }

    [Theory]
    [InlineData(0.2, null, 0.4)]
    [InlineData(0.6, null, 0.6)]
    [InlineData(0, "2:4", 0.6)]
    public void What_an_earlier_pass_pruned_stays_pruned(double sparsity, string? text, double least)
    {
        SparsityPattern? pattern = text is null ? null : new(2, 4);
        LayerWork work = Samples.Work(Samples.Gaussian(5 * 160, 121), 160, Samples.Statistics(Samples.Inputs(400, 160, 122), 160));
        work.Mask = [.. Enumerable.Range(0, work.Dense.Length).Select(i => i % 5 is not (1 or 2))];
        bool[] before = work.Mask;
        work.Dense = work.Masked();
        new SparseGpt { Sparsity = pattern?.Sparsity ?? sparsity, Pattern = pattern }.Apply(work);
        Assert.All(before.Zip(work.Masked()), pair => Assert.True(pair.First || pair.Second == 0));
        Assert.InRange(work.Masked().Count(value => value == 0) / (double)before.Length, text is null ? least : 0.5, least);
    }

    [Fact]
    public void Dampening_is_raised_with_a_warning_where_there_is_no_factor()
    {
        LayerWork work = Samples.Work(Samples.Gaussian(4 * 32, 61), 32, Samples.Statistics(Samples.Inputs(10, 32, 62), 32));
        new SparseGpt { Dampening = 1e-16 }.Apply(work);
        Assert.Contains("layer: the inputs' Gram matrix has no Cholesky factor at dampening 1E-16; raised to", Assert.Single(work.Warnings));
        Assert.Equal(64, work.Mask!.Count(kept => kept));
    }

    [Fact]
    public void Inputs_of_nothing_but_zeros_leave_magnitude_with_a_warning()
    {
        float[] weights = Samples.Gaussian(4 * 32, 63);
        LayerWork work = Samples.Work(weights, 32, Samples.Statistics(new float[64], 32)), magnitude = Samples.Work(weights, 32);
        new SparseGpt().Apply(work);
        new Magnitude().Apply(magnitude);
        Assert.Contains("prunes by magnitude", Assert.Single(work.Warnings));
        Assert.Equal(magnitude.Mask!, work.Mask!);
        Assert.Equal(magnitude.Masked(), work.Masked());
    }

    [Fact]
    public void A_later_gptq_keeps_the_mask_and_is_held_against_the_first_weights()
    {
        float[] weights = Samples.Gaussian(16 * 64, 51), first = [.. weights], x = Samples.Inputs(300, 64, 52);
        InputStatistics inputs = Samples.Statistics(x, 64);
        LayerWork work = Samples.Work(weights, 64, inputs), wanda = Samples.Work(weights, 64, inputs);
        new SparseGpt { Pattern = new SparsityPattern(2, 4) }.Apply(work);
        new Wanda { Pattern = new SparsityPattern(2, 4) }.Apply(wanda);
        Assert.Equal(first, weights);
        double pruned = Samples.Objective(weights, work.Masked(), x, 64);
        bool[] mask = [.. work.Mask!];
        new Gptq { Bits = 8, GroupSize = 32 }.Apply(work);
        new Gptq { Bits = 8, GroupSize = 32 }.Apply(wanda);
        float[] stored = work.Grid!.ToDense();
        Assert.All(mask.Zip(stored), pair => Assert.True(pair.First || pair.Second == 0));
        double error = Samples.Objective(weights, stored, x, 64);
        Assert.True(error < 1.05 * pruned, $"{error} against {pruned}");
        Assert.True(error < Samples.Objective(weights, wanda.Grid!.ToDense(), x, 64));
    }

    [Fact]
    public void Plain_rounding_after_it_rounds_the_weights_that_made_up_for_others()
    {
        float[] weights = Samples.Gaussian(16 * 64, 53), x = Samples.Inputs(300, 64, 54);
        LayerWork work = Samples.Work(weights, 64, Samples.Statistics(x, 64));
        new SparseGpt().Apply(work);
        float[] pruned = work.Masked();
        new RoundToNearest { Bits = 8, GroupSize = 32 }.Apply(work);
        Assert.All(pruned.Zip(work.Grid!.ToDense()), pair => Assert.Equal(pair.First, pair.Second, 0.05f));
    }

    [Fact]
    public void Threads_change_nothing()
    {
        float[] weights = Samples.Gaussian(70 * 192, 71);
        InputStatistics inputs = Samples.Statistics(Samples.Inputs(300, 192, 72), 192);
        foreach (SparsityPattern? pattern in new SparsityPattern?[] { null, new(2, 4) })
        {
            float[][] settled = [.. new[] { 1, 2, 3 }.Select(threads =>
            {
                using WorkerPool pool = new(threads);
                inputs.Factors.Clear();
                LayerWork work = new("layer", 70, 192, weights, pool) { Inputs = inputs };
                new SparseGpt { Pattern = pattern }.Apply(work);
                return work.Masked();
            })];
            Assert.Equal(settled[0], settled[1]);
            Assert.Equal(settled[0], settled[2]);
        }
    }

    [Fact]
    public void Vectors_of_any_width_find_the_same_weights()
    {
        float[] weights = Samples.Gaussian(37 * 200, 81);
        InputStatistics inputs = Samples.Statistics(Samples.Inputs(300, 200, 82), 200);
        float[]? first = null;
        foreach (SimdLevel level in SimdTesting.Levels)
        {
            using IDisposable chosen = SimdLevel.Select(level);
            LayerWork work = Samples.Work(weights, 200, inputs);
            new SparseGpt().Apply(work);
            Assert.Equal(first ??= work.Masked(), work.Masked());
        }
    }

    [Fact]
    public void A_weight_that_grows_past_what_can_be_stored_is_an_error()
    {
        // The second input is a millionth of the first: to make up for the first weight, the second has to grow by a million.
        float[] x = new float[200];
        for (int t = 0; t < 100; t++)
            (x[2 * t], x[2 * t + 1]) = (1 + t % 3, 1e-6f * (1 + t % 3));
        LayerWork work = Samples.Work([1, 60000], 2, Samples.Statistics(x, 2));
        CoppiceException error = Assert.Throws<CoppiceException>(() => new SparseGpt { Dampening = 1e-15, Pattern = new SparsityPattern(1, 2) }.Apply(work));
        Assert.Contains("layer: a weight grew to", error.Message);
    }

    static double[,] Damped(float[] x, int columns, double dampening)
    {
        int tokens = x.Length / columns;
        double[,] h = new double[columns, columns];
        for (int t = 0; t < tokens; t++)
            for (int i = 0; i < columns; i++)
                for (int j = 0; j < columns; j++)
                    h[i, j] += (double)x[t * columns + i] * x[t * columns + j] / tokens;
        double mean = Enumerable.Range(0, columns).Average(i => h[i, i]);
        for (int i = 0; i < columns; i++)
            h[i, i] += dampening * mean;
        return h;
    }

    // (w - q) H (w - q)^T over all rows.
    static double Loss(float[] weights, double[] stored, double[,] h)
    {
        int columns = h.GetLength(0);
        double sum = 0;
        for (int row = 0; row < weights.Length; row += columns)
            for (int i = 0; i < columns; i++)
                for (int j = 0; j < columns; j++)
                    sum += (weights[row + i] - stored[row + i]) * h[i, j] * (weights[row + j] - stored[row + j]);
        return sum;
    }
}
