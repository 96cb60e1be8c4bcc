using Coppice.Compression;
using Coppice.Compression.Budget;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Tests.Compression.Budget;

public class BudgetSearchTests
{
    static readonly Recipe[] widths = [.. new[] { 2, 4, 8 }.Select(bits => new Recipe($"int{bits}", [new RoundToNearest { Bits = bits, GroupSize = 16, Targets = ["*"] }]))];

    [Theory]
    [InlineData(3.6), InlineData(5), InlineData(6.5)]
    public void The_recipe_that_is_found_fits_and_gives_what_was_measured(double bits)
    {
        BudgetResult found = Search(new SizeBudget(bits, BudgetUnit.BitsPerWeight));
        Assert.InRange(found.Chosen.BitsPerWeight, bits - 0.8, bits);
        DecoderModel model = Samples.Model();
        CompressionReport report = new CompressionPipeline(found.Recipe, Samples.Pool).Run(model, Samples.Tokens());
        Assert.Equal(found.Chosen.Bytes, report.BytesAfter);
        Assert.Equal(report.Layers.Select(layer => (layer.Name, layer.BitsPerWeight)).Order(), found.Choices.Select(choice => (choice.Matrix, choice.BitsPerWeight)).Order());
        Assert.Equal(found.Recipe.ToYaml(), RecipeReader.Parse(found.Recipe.ToYaml(), "again").ToYaml());
        Assert.Equal(found.Chosen.Predicted, found.Choices.Sum(choice => choice.Loss), 1e-9);
        // No recipe for all matrices that fits was told to lose less.
        Assert.All(found.Front.Where(point => point.Bytes <= found.Chosen.Bytes), point => Assert.True(point.Predicted >= found.Chosen.Predicted - 1e-12));
        Assert.Equal(found.Front.OrderBy(point => point.Bytes), found.Front);
    }

    [Fact]
    public void What_is_told_is_near_what_is_measured()
    {
        BudgetPoint chosen = Search(new SizeBudget(6, BudgetUnit.BitsPerWeight)).Chosen;
        Assert.InRange(chosen.Predicted / chosen.Kl, 0.5, 2);
    }

    [Fact]
    public void A_budget_below_the_smallest_recipe_is_refused() =>
        Assert.Contains("budget: the smallest of the recipes takes", Assert.Throws<CoppiceException>(() => Search(new SizeBudget(1, BudgetUnit.BitsPerWeight))).Message, StringComparison.Ordinal);

    [Fact]
    public void Steps_over_the_whole_model_are_no_choice_for_a_matrix()
    {
        Recipe[] recipes = [widths[0], new Recipe("layers", [new Coppice.Compression.Structured.DropLayers()])];
        Assert.Contains("recipe 'layers' has steps over the whole model", Assert.Throws<CoppiceException>(() => Search(new SizeBudget(4, BudgetUnit.BitsPerWeight), recipes)).Message, StringComparison.Ordinal);
    }

    static BudgetResult Search(SizeBudget budget, Recipe[]? recipes = null) =>
        new BudgetSearch(() => Samples.Model(), Samples.Pool) { Tokens = 96 }.Run(recipes ?? widths, budget, Samples.Tokens(), Samples.Tokens(7));
}
