using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Prune;

public class AllocatorTests
{
    [Theory]
    [InlineData(SparsityAllocation.Global)]
    [InlineData(SparsityAllocation.Owl)]
    [InlineData(SparsityAllocation.Sensitivity)]
    public void Matrices_lose_unequally_much_and_together_what_was_asked(SparsityAllocation allocation)
    {
        CompressionReport report = Run(new Wanda { Sparsity = 0.6, Allocation = allocation });
        LayerResult[] pruned = [.. report.Layers.Where(layer => layer.Steps.Length > 0)];
        Assert.Equal(0.6, pruned.Sum(layer => layer.Sparsity * layer.Rows * layer.Columns) / pruned.Sum(layer => layer.Rows * layer.Columns), 0.01);
        Assert.True(pruned.Max(layer => layer.Sparsity) - pruned.Min(layer => layer.Sparsity) > 0.01);
    }

    [Fact]
    public void A_block_that_hardly_matters_loses_more_by_measured_KL()
    {
        DecoderModel model = Samples.Model();
        foreach (Linear linear in new[] { model.Blocks[0].Attention.Output, ((FeedForward)model.Blocks[0].FeedForward).Down })
            foreach (ref float value in ((DenseWeight)linear.Weight).Values.Data)
                value *= 0.01f;
        CompressionReport report = new CompressionPipeline(new Recipe("r", [new Wanda { Sparsity = 0.6, Allocation = SparsityAllocation.Kl }]), Samples.Pool).Run(model, Samples.Tokens());
        double[] shares = [.. report.Layers.Where(layer => layer.Steps.Length > 0).GroupBy(layer => layer.Name.Split('.')[2]).OrderBy(block => block.Key).Select(block => block.Average(layer => layer.Sparsity))];
        Assert.InRange(shares[0], 0.75, 0.85);
        Assert.InRange(shares[1], 0.35, 0.45);
    }

    [Fact]
    public void Blocks_keep_one_share_where_blocks_are_what_is_looked_at()
    {
        foreach (var block in Run(new Wanda { Sparsity = 0.6, Allocation = SparsityAllocation.Owl }).Layers.Where(layer => layer.Steps.Length > 0).GroupBy(layer => layer.Name.Split('.')[2]))
            Assert.True(block.Max(layer => layer.Sparsity) - block.Min(layer => layer.Sparsity) < 0.03);
    }

    [Fact]
    public void A_matrix_that_is_small_as_a_whole_loses_no_more_than_another()
    {
        DecoderModel model = Samples.Model();
        foreach (ref float value in ((DenseWeight)model.Blocks[0].Attention.Query.Weight).Values.Data)
            value *= 1e-3f;
        LayerResult query = new CompressionPipeline(new Recipe("r", [new Magnitude { Sparsity = 0.5, Allocation = SparsityAllocation.Global }]), Samples.Pool).Run(model, [])
            .Layers.First(layer => layer.Name.EndsWith("0.self_attn.q_proj", StringComparison.Ordinal));
        Assert.InRange(query.Sparsity, 0.4, 0.6);
    }

    [Fact]
    public void An_error_curve_is_the_share_of_squares_that_go_for_each_weight() =>
        // Squares 1, 4, 9, 16 of 30 in all, times four weights.
        Assert.Equal([0, 4 * 1.0 / 30, 4 * 5.0 / 30, 4 * 14.0 / 30, 4], Allocator.ErrorCurve([4, 2, 3, 1]).Where(point => point.Share * 4 % 1 == 0).Select(point => point.Error), new Near());

    [Fact]
    public void A_pattern_takes_the_same_share_everywhere() => Assert.Equal("r:2: wanda.allocation is owl, wanted nothing beside a pattern, which takes the same share everywhere",
        Assert.Throws<CoppiceException>(() => RecipeReader.Parse("steps:\n  - wanda: { pattern: \"2:4\", allocation: owl }", "r")).Message);

    [Fact]
    public void Canonical_text_names_it_and_reads_back()
    {
        Recipe recipe = RecipeReader.Parse("steps:\n  - sparseGpt: { sparsity: 0.7, allocation: owl }", "r");
        Assert.Contains("allocation: owl", recipe.ToYaml(), StringComparison.Ordinal);
        Assert.Equal(recipe.ToYaml(), RecipeReader.Parse(recipe.ToYaml(), "again").ToYaml());
    }

    static CompressionReport Run(PruneStep step) => new CompressionPipeline(new Recipe("r", [step]), Samples.Pool).Run(Samples.Model(), Samples.Tokens());

    sealed class Near : IEqualityComparer<double>
    {
        public bool Equals(double x, double y) => Math.Abs(x - y) < 1e-9;

        public int GetHashCode(double value) => 0;
    }
}
