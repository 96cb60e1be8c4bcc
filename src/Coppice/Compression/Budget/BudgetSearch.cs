using System.Collections.Immutable;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Budget;

/// <summary>
/// Finds which of several recipes each matrix should follow, so that the model fits a budget and loses least: every recipe is run over the model once; each matrix alone is put in as the smallest of them leaves it, and the KL divergence
/// measured; what the other recipes would cost it is that, times the ratio of their errors at its outputs; a knapsack over all matrices decides; and mixtures along the front are measured as they are.
/// </summary>
/// <param name="load">Reads the model, which mixtures are put together in.</param>
/// <param name="pool">Threads for the work.</param>
public sealed class BudgetSearch(Func<Model> load, WorkerPool pool)
{
    // What a tensor's place may be off by.
    const int Alignment = 64;

    // Mixtures that are measured between the smallest and the largest.
    const int FrontPoints = 7;

    /// <summary>Fixes every draw.</summary>
    public int Seed { get; init; }

    /// <summary>Tokens of text that KL is measured on.</summary>
    public int Tokens { get; init; } = 2048;

    /// <summary>Reads the model once more for each recipe; what is left in its file is in memory a block at a time. Null reads it as the first.</summary>
    public Func<Model>? Open { get; init; }

    /// <summary>Where finished work is kept and found again by the same search, for the caller to delete; what recipes make lies there too. Null keeps all recipes' matrices in memory, and nothing for a later search.</summary>
    public string? Folder { get; init; }

    /// <summary>How many bytes a model takes as it is written, for a budget of <see cref="BudgetUnit.Bytes"/>; null counts its weights alone.</summary>
    public Func<Model, long>? WrittenBytes { get; init; }

    /// <summary>How many bytes a matrix, by name, takes as it is written.</summary>
    public Func<string, Weight, long> WrittenBytesOf { get; init; } = (_, weight) => weight.ByteCount;

    /// <summary>Matrices, by name, that have to follow the same recipe, such as those that a file stores as one: see <see cref="ModelStorage.Together"/>.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Together { get; init; } = [];

    /// <summary>The search. <paramref name="calibration"/> is for the recipes, <paramref name="slice"/> what is measured on: better other text.</summary>
    /// <exception cref="CoppiceException">A recipe does not fit the model or does more than edit matrices, or nothing fits the budget.</exception>
    public BudgetResult Run(IReadOnlyList<Recipe> recipes, SizeBudget budget, IReadOnlyList<int[]> calibration, IReadOnlyList<int[]> slice, IProgress<CompressionProgress>? progress = null, CancellationToken cancel = default)
    {
        if (recipes.Count < 2)
            throw new CoppiceException($"budget: {recipes.Count} recipes to choose among, wanted at least two");
        if (recipes.FirstOrDefault(recipe => recipe.Steps.Any(step => step is not WeightStep)) is { } whole)
            throw new CoppiceException($"budget: recipe '{whole.Name}' has steps over the whole model, which are the same for every matrix; choose among recipes without");
        Model model = load();
        List<(string Name, MatrixLayer Layer)> matrices = [.. model.Matrices()];
        Dictionary<string, int> together = Together.SelectMany((names, i) => names.Select(name => (name, i))).ToDictionary(own => own.name, own => own.i);
        int[][] groups = [.. Enumerable.Range(0, matrices.Count).GroupBy(i => together.TryGetValue(matrices[i].Name, out int group) ? group : -1 - i).Select(group => group.ToArray())];
        // What does not fit the model is found before anything is left in a folder.
        foreach (Recipe recipe in recipes)
            _ = PlanOf(recipe, model);
        int total = recipes.Count + groups.Length + FrontPoints + recipes.Count, done = 0;
        BudgetJournal? journal = Folder is null ? null : new BudgetJournal(Folder, recipes, slice, Tokens);
        KlSlice text = new(model, slice, Tokens, pool);
        List<Variant> variants = [];
        foreach (Recipe recipe in recipes)
        {
            Model compressed = (Open ?? load)();
            CompressionPlan plan = PlanOf(recipe, compressed);
            CompressionReport report = new CompressionPipeline(recipe, pool) { Seed = Seed }.Run(compressed, calibration, journal?.Of(variants.Count, recipe, compressed, calibration, Seed), null, cancel);
            variants.Add(new Variant(recipe, plan, report.Layers.ToDictionary(layer => layer.Name), compressed.Matrices().ToDictionary(matrix => matrix.Name, matrix => matrix.Layer.Weight),
                compressed.Matrices().ToDictionary(matrix => matrix.Name, matrix => WrittenBytesOf(matrix.Name, matrix.Layer.Weight)), compressed));
            Tell(recipe.Name);
        }
        double[] milliseconds = budget.Unit == BudgetUnit.MillisecondsPerToken ? Times(variants, slice[0]) : [];
        long vectors = model.ByteCount - matrices.Sum(matrix => matrix.Layer.Weight.ByteCount);
        double fixedCost = budget.Unit == BudgetUnit.MillisecondsPerToken ? 0 : vectors, limit = Limit(budget, model, variants) - fixedCost;
        double least = groups.Sum(group => variants.Select((variant, v) => CostOf(variant, v, group)).Min()), most = groups.Sum(group => variants.Select((variant, v) => CostOf(variant, v, group)).Max());
        if (least > limit)
            throw new CoppiceException($"budget: the smallest of the recipes takes {Shown(least + fixedCost)}, {(limit + fixedCost > 0 ? $"the budget allows {Shown(limit + fixedCost)}" : "and what is written beside them is more than the budget")}; choose among smaller ones");

        List<IReadOnlyList<Option>> items = [];
        foreach (int[] group in groups)
        {
            cancel.ThrowIfCancellationRequested();
            string name = string.Join(", ", group.Select(i => matrices[i].Name));
            List<Option> options = [.. variants.Select((variant, v) => new Option(v, group.Sum(i => ErrorOf(variant, matrices[i].Name)), CostOf(variant, v, group)))];
            Option smallest = options.MinBy(option => group.Sum(i => variants[option.Variant].Bytes[matrices[i].Name]))!;
            double kl = Kl($"{name} as {smallest.Variant}", () => With(group, [.. group.Select(_ => smallest.Variant)])).Value;
            items.Add([.. options.Select(option => option with { Loss = smallest.Error > 0 ? kl * option.Error / smallest.Error : 0 })]);
            Tell(name);
        }

        IReadOnlyList<(double, double)>[] costs = [.. items.Select(options => (IReadOnlyList<(double, double)>)[.. options.Select(option => (option.Cost, option.Loss))])];
        int[] chosen = Knapsack.Choose(costs, limit)!;
        List<BudgetPoint> front = [];
        for (int v = 0; v < variants.Count; v++)
            front.Add(Measured($"all {variants[v].Recipe.Name}", [.. Enumerable.Repeat(v, items.Count)]));
        for (int i = 0; i < FrontPoints; i++)
            front.Add(Measured("mixture", Knapsack.Choose(costs, least + (most - least) * (i + 0.5) / FrontPoints)!));
        BudgetPoint best = Measured("chosen", chosen);
        return new BudgetResult(RecipeOf(chosen), best, [.. front.Append(best).OrderBy(point => point.Bytes)],
            [.. groups.SelectMany((group, g) => group.Select(i => new BudgetChoice(matrices[i].Name, variants[chosen[g]].Recipe.Name, variants[chosen[g]].Weights[matrices[i].Name].BitsPerWeight, items[g][chosen[g]].Loss / group.Length)))]);

        void Tell(string what) => progress?.Report(new CompressionProgress(what, Math.Min(++done, total), total));

        double Cost(Variant variant, int v, string name) => budget.Unit == BudgetUnit.MillisecondsPerToken
            ? milliseconds[v] * variant.Weights[name].Shape.Length / matrices.Sum(matrix => (double)matrix.Layer.Weight.Shape.Length)
            : variant.Bytes[name];

        double CostOf(Variant variant, int v, int[] group) => group.Sum(i => Cost(variant, v, matrices[i].Name));

        // The KL divergence with some matrices as variants have them.
        Estimate With(IReadOnlyList<int> which, IReadOnlyList<int> choice)
        {
            Weight[] before = [.. which.Select(i => matrices[i].Layer.Weight)];
            for (int i = 0; i < which.Count; i++)
                matrices[which[i]].Layer.Weight = MatrixLayout.InMemory(variants[choice[i]].Weights[matrices[which[i]].Name]);
            Estimate found = text.Of(model, cancel);
            for (int i = 0; i < which.Count; i++)
                matrices[which[i]].Layer.Weight = before[i];
            return found;
        }

        string Shown(double cost) => budget.Unit == BudgetUnit.MillisecondsPerToken ? $"{cost:0.###} ms a token" : $"{cost:N0} bytes of weights";

        // Choices are of groups.
        BudgetPoint Measured(string name, int[] choice)
        {
            (int Matrix, int Variant)[] all = [.. groups.SelectMany((group, g) => group.Select(i => (i, choice[g])))];
            Estimate kl = Kl(string.Join(' ', choice), () => With([.. all.Select(own => own.Matrix)], [.. all.Select(own => own.Variant)]));
            long bytes = vectors + all.Sum(own => variants[own.Variant].Bytes[matrices[own.Matrix].Name]);
            Tell(name);
            return new BudgetPoint(name, bytes, 8.0 * bytes / model.ParameterCount, choice.Select((option, g) => items[g][option].Loss).Sum(), kl.Value, kl.StandardError,
                budget.Unit == BudgetUnit.MillisecondsPerToken ? choice.Select((option, g) => items[g][option].Cost).Sum() : null);
        }

        Estimate Kl(string what, Func<Estimate> measure) => journal is null ? measure() : journal.Kl(what, measure);

        // Steps with the same options are one step with many targets; what prunes comes before what rounds.
        Recipe RecipeOf(int[] choice) => new("budget", [.. groups
            .SelectMany((group, g) => group.Select(i => (matrices[i].Name, variants[choice[g]].Plan)))
            .SelectMany(matrix => matrix.Plan.For(matrix.Name).Select((step, place) => (Place: place, Step: step with { Targets = [], Ignore = [], Overrides = [] }, Matrix: matrix.Name)))
            .GroupBy(use => (use.Place, use.Step.Key, Options: string.Join(',', use.Step.Options)))
            .OrderBy(group => group.Key.Place)
            .Select(group => group.First().Step with { Targets = [.. group.Select(use => use.Matrix)] })]);
    }

    // Of weights. What is written beside them is the same for all mixtures, but for where tensors begin.
    double Limit(SizeBudget budget, Model model, List<Variant> variants)
    {
        if (budget.Unit != BudgetUnit.Bytes || WrittenBytes is null)
            return budget.Unit == BudgetUnit.BitsPerWeight ? budget.Amount / 8 * model.ParameterCount : budget.Amount;
        Variant smallest = variants.MinBy(variant => variant.Bytes.Values.Sum())!;
        long vectors = smallest.Model.ByteCount - smallest.Weights.Values.Sum(weight => weight.ByteCount);
        return budget.Amount - (WrittenBytes(smallest.Model) - vectors - smallest.Bytes.Values.Sum()) - Alignment * smallest.Bytes.Count;
    }

    static CompressionPlan PlanOf(Recipe recipe, Model model) => new(recipe.Name, [.. recipe.Steps.Cast<WeightStep>()], 0, model);

    // Of a token, all of the model in one recipe's form. Turn by turn, so that all have to be in memory.
    double[] Times(List<Variant> variants, int[] prompt)
    {
        foreach (MatrixLayer layer in variants.SelectMany(variant => variant.Model.Matrices()).Select(matrix => matrix.Layer))
            layer.Weight = MatrixLayout.InMemory(layer.Weight);
        return [.. SpeedProbe.Measure([.. variants.Select(variant => variant.Model)], prompt.AsSpan(0, Math.Min(16, prompt.Length)), pool).Select(speed => 1000 / speed.TokensPerSecond)];
    }

    sealed record Variant(Recipe Recipe, CompressionPlan Plan, Dictionary<string, LayerResult> Layers, Dictionary<string, Weight> Weights, Dictionary<string, long> Bytes, Model Model);

    static double ErrorOf(Variant variant, string name) => variant.Layers[name].OutputError ?? variant.Layers[name].WeightError;

    sealed record Option(int Variant, double Error, double Cost)
    {
        public double Loss { get; init; }
    }
}

/// <summary>A mixture of recipes that was measured.</summary>
/// <param name="Name"><c>all</c> and a recipe's name, <c>mixture</c>, or <c>chosen</c>.</param>
/// <param name="Bytes">The weights' bytes, vectors included.</param>
/// <param name="BitsPerWeight">Stored bits a parameter.</param>
/// <param name="Predicted">The sum of its matrices' losses, nats a token.</param>
/// <param name="Kl">What was measured, nats a token.</param>
/// <param name="StandardError">Of that, over sequences.</param>
/// <param name="Milliseconds">Predicted milliseconds a token, where the budget is of time.</param>
public sealed record BudgetPoint(string Name, long Bytes, double BitsPerWeight, double Predicted, double Kl, double StandardError, double? Milliseconds);

/// <summary>What a matrix follows, and what that is predicted to cost.</summary>
public sealed record BudgetChoice(string Matrix, string Recipe, double BitsPerWeight, double Loss);

/// <summary>What a search found: the recipe, its point, all points that were measured by rising size, and each matrix's choice.</summary>
public sealed record BudgetResult(Recipe Recipe, BudgetPoint Chosen, ImmutableArray<BudgetPoint> Front, ImmutableArray<BudgetChoice> Choices);
