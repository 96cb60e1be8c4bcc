using Coppice.Compression;
using Coppice.Compression.Budget;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;

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

    // After one recipe, among the sensitivities, and among the mixtures.
    [Theory]
    [InlineData(1), InlineData(9), InlineData(24)]
    public void A_search_that_was_stopped_goes_on_to_the_same(int steps)
    {
        using TemporaryFolder folder = new();
        SizeBudget budget = new(5, BudgetUnit.BitsPerWeight);
        BudgetResult whole = Search(budget);
        using CancellationTokenSource stop = new();
        int done = 0;
        Assert.Throws<OperationCanceledException>(() => Search(budget, folder: folder["search"], progress: new Told(() =>
        {
            if (++done == steps)
                stop.Cancel();
        }), cancel: stop.Token));
        // A line that was being written when the process died.
        File.AppendAllText(Path.Combine(folder["search"], "measured.txt"), "model.layers.0.self_attn.q_proj as 0\t0.5");
        Same(whole, Search(budget, folder: folder["search"]));
        string[] measured = File.ReadAllLines(Path.Combine(folder["search"], "measured.txt"));
        Assert.Equal(measured.Length, measured.Distinct().Count());
        // All of it is there: nothing is measured again.
        Same(whole, Search(budget, folder: folder["search"]));
        Assert.Equal(measured, File.ReadAllLines(Path.Combine(folder["search"], "measured.txt")));

        static void Same(BudgetResult wanted, BudgetResult found)
        {
            Assert.Equal(wanted.Recipe.ToYaml(), found.Recipe.ToYaml());
            Assert.Equal(wanted.Front.ToArray(), found.Front.ToArray());
            Assert.Equal(wanted.Choices.ToArray(), found.Choices.ToArray());
        }
    }

    [Fact]
    public void A_folder_with_another_searchs_work_is_refused()
    {
        using TemporaryFolder folder = new();
        Search(new SizeBudget(5, BudgetUnit.BitsPerWeight), folder: folder["search"]);
        Assert.Contains("holds the work of another search", Assert.Throws<CoppiceException>(() => Search(new SizeBudget(5, BudgetUnit.BitsPerWeight), widths[..2], folder["search"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_stored_as_one_follows_one_recipe()
    {
        string[] names = [.. Samples.Model().Matrices().Select(matrix => matrix.Name).Where(name => name.Contains("self_attn", StringComparison.Ordinal))];
        BudgetResult found = new BudgetSearch(() => Samples.Model(), Samples.Pool) { Tokens = 96, Together = [names] }.Run(widths, new SizeBudget(5, BudgetUnit.BitsPerWeight), Samples.Tokens(), Samples.Tokens(7));
        Assert.Single(found.Choices.Where(choice => names.Contains(choice.Matrix)).Select(choice => choice.Recipe).Distinct());
        Assert.NotEqual(1, found.Choices.Select(choice => choice.Recipe).Distinct().Count());
        Assert.InRange(found.Chosen.BitsPerWeight, 4.2, 5);
        Assert.Equal(found.Chosen.Predicted, found.Choices.Sum(choice => choice.Loss), 1e-9);
    }

    static BudgetResult Search(SizeBudget budget, Recipe[]? recipes = null, string? folder = null, IProgress<CompressionProgress>? progress = null, CancellationToken cancel = default) =>
        new BudgetSearch(() => Samples.Model(), Samples.Pool) { Tokens = 96, Folder = folder }.Run(recipes ?? widths, budget, Samples.Tokens(), Samples.Tokens(7), progress, cancel);

    sealed class Told(Action act) : IProgress<CompressionProgress>
    {
        public void Report(CompressionProgress value) => act();
    }
}
