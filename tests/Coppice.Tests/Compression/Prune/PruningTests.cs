using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Models;

namespace Coppice.Tests.Compression.Prune;

public class PruningTests
{
    static readonly float[] Weights =
    [
        4, -1, 2, -3,
        0.5f, 0.25f, -8, 0.125f,
    ];

    [Fact]
    public void Magnitude_drops_the_smallest_of_the_whole_matrix()
    {
        float[] kept = Apply(new Magnitude { Sparsity = 0.5 });
        Assert.Equal([4, 0, 2, -3, 0, 0, -8, 0], kept);
    }

    [Fact]
    public void Magnitude_by_row_drops_the_smallest_of_each_row()
    {
        float[] kept = Apply(new Magnitude { Sparsity = 0.5, Scope = PruneScope.Row });
        Assert.Equal([4, 0, 0, -3, 0.5f, 0, -8, 0], kept);
    }

    [Fact]
    public void Wanda_weighs_a_weight_by_the_size_of_its_input()
    {
        // Two tokens; the channels' norms are 1, 5, 1 and 0.1, so that row 0 scores 4, 5, 2, 0.3 and row 1 scores 0.5, 1.25, 8, 0.0125.
        float[] x = [1, 3, 0, 0.1f, 0, 4, 1, 0];
        float[] kept = Apply(new Wanda { Sparsity = 0.5 }, Samples.Statistics(x, 4));
        Assert.Equal([4, -1, 0, 0, 0, 0.25f, -8, 0], kept);
    }

    [Fact]
    public void Wanda_needs_no_more_than_the_norms()
    {
        float[] x = Samples.Inputs(40, 8, 1), weights = Samples.Gaussian(32, 4);
        LayerWork norms = Samples.Work(weights, 8, Samples.Statistics(x, 8, Statistics.ColumnNorms)), gram = Samples.Work(weights, 8, Samples.Statistics(x, 8));
        new Wanda().Apply(norms);
        new Wanda().Apply(gram);
        Assert.Equal(gram.Mask!, norms.Mask!);
    }

    public static TheoryData<string, string, string> Patterns()
    {
        TheoryData<string, string, string> cases = [];
        foreach (string step in (string[])["random", "magnitude", "wanda", "sparseGpt", "gradient", "taylor", "snip", "multiTask"])
            foreach ((string pattern, string stored) in ((string, string)[])[("2:4", "2:4-f16"), ("1:2", "2:4-f16"), ("4:8", "sparse-f16"), ("1:4", "sparse-f16"), ("3:16", "sparse-f16")])
                cases.Add(step, pattern, stored);
        return cases;
    }

    [Theory]
    [MemberData(nameof(Patterns))]
    public void Every_method_keeps_n_of_every_m_and_stores_no_zeros(string step, string text, string stored)
    {
        Assert.True(SparsityPattern.TryParse(text, out SparsityPattern pattern));
        Recipe recipe = RecipeReader.Parse($"name: r\nsteps:\n  - {step}: {{ pattern: \"{text}\" }}\n", "test");
        DecoderModel model = Samples.Model();
        CompressionReport report = new CompressionPipeline(recipe, Samples.Pool) { Texts = [3, 3] }.Run(model, Samples.Tokens());
        foreach (LayerResult layer in report.Layers.Where(layer => layer.Steps.Contains(step)))
        {
            Assert.Equal(stored, layer.Kind);
            float[] values = model.Matrices().Single(matrix => matrix.Name == layer.Name).Layer.Weight.ToDense();
            Assert.All(values.Chunk(pattern.Of), group => Assert.True(group.Count(value => value != 0) <= pattern.Keep));
            Assert.InRange(layer.Sparsity, pattern.Sparsity, pattern.Sparsity + 0.01);
            // A bit for each place, 16 for each kept number, and 8 bytes a row where rows differ.
            Assert.InRange(layer.BitsPerWeight, 1 + 16 * (1 - pattern.Sparsity) - 0.2, 1 + 16 * (1 - pattern.Sparsity) + 64.0 / layer.Columns + 0.2);
        }
        Assert.Equal(14, report.Layers.Count(layer => layer.Steps.Contains(step)));
    }

    [Theory]
    [InlineData("2:4", "2:4-int4-g16")]
    [InlineData("1:2", "2:4-int4-g16")]
    [InlineData("1:4", "2:4-int4-g16")]
    [InlineData("2:8", "2:4-int4-g16")]
    [InlineData("4:8", "int4-g16")]
    [InlineData("3:4", "int4-g16")]
    public void What_keeps_at_most_two_of_four_is_stored_so_with_integers_too(string text, string stored)
    {
        Assert.True(SparsityPattern.TryParse(text, out SparsityPattern pattern));
        foreach (PruneStep step in (PruneStep[])[new Wanda { Pattern = pattern }, new SparseGpt { Pattern = pattern }])
        {
            DecoderModel model = Samples.Model();
            CompressionReport report = new CompressionPipeline(new Recipe("r", [step, new Gptq { GroupSize = 16 }]), Samples.Pool).Run(model, Samples.Tokens());
            foreach (LayerResult layer in report.Layers.Where(layer => layer.Steps.Length == 2))
            {
                Assert.Equal(stored, layer.Kind);
                Assert.All(model.Matrices().Single(matrix => matrix.Name == layer.Name).Layer.Weight.ToDense().Chunk(pattern.Of), group => Assert.True(group.Count(value => value != 0) <= pattern.Keep));
            }
        }
    }

    [Fact]
    public void Two_of_four_keeps_the_two_largest_of_each_four()
    {
        LayerWork work = Samples.Work([1, -2, 3, -4, 9, 0, 8, 7], 8);
        new Magnitude { Pattern = new SparsityPattern(2, 4) }.Apply(work);
        Assert.Equal([0, 0, 3, -4, 9, 0, 8, 0], work.Masked());
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(0.9)]
    public void Wanda_drops_the_same_share_of_every_row(double sparsity)
    {
        LayerWork work = Samples.Work(Samples.Gaussian(5 * 40, 3), 40, Samples.Statistics(Samples.Inputs(64, 40, 9), 40));
        new Wanda { Sparsity = sparsity }.Apply(work);
        Assert.All(work.Mask!.Chunk(40), row => Assert.Equal((int)Math.Round(40 * sparsity), row.Count(kept => !kept)));
    }

    [Fact]
    public void Of_equal_weights_the_first_go()
    {
        LayerWork work = Samples.Work([1, 1, 1, 1], 4);
        new Magnitude().Apply(work);
        Assert.Equal([false, false, true, true], work.Mask!);
    }

    [Fact]
    public void A_score_that_uses_inputs_loses_less_output_than_magnitude_and_that_less_than_chance()
    {
        float[] weights = Samples.Gaussian(16 * 64, 21), x = Samples.Inputs(256, 64, 22);
        InputStatistics inputs = Samples.Statistics(x, 64);
        double[] errors = [.. new PruneStep[] { new Wanda(), new Magnitude(), new RandomPruning() }.Select(step =>
        {
            LayerWork work = Samples.Work(weights, 64, inputs);
            step.Apply(work);
            return Samples.Objective(weights, work.Masked(), x, 64);
        })];
        Assert.True(errors[0] < errors[1] && errors[1] < errors[2], string.Join(", ", errors));
    }

    static float[] Apply(PruneStep step, InputStatistics? inputs = null)
    {
        LayerWork work = Samples.Work(Weights, 4, inputs);
        step.Apply(work);
        return work.Masked();
    }
}
