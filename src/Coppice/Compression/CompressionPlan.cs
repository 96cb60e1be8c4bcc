using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>Which steps each matrix of a model gets. Making it finds everything that can be wrong before any work.</summary>
public sealed class CompressionPlan
{
    readonly Dictionary<string, List<WeightStep>> steps = new(StringComparer.Ordinal);
    readonly Dictionary<string, double> shares = new(StringComparer.Ordinal);

    /// <summary>Lays steps over a model.</summary>
    /// <param name="recipe">The recipe's name.</param>
    /// <param name="passing">Steps of it that go over the model together.</param>
    /// <param name="firstStep">The first one's place in the recipe, from 0 on.</param>
    /// <param name="model">The model.</param>
    /// <exception cref="CoppiceException">A target names nothing, steps contradict each other, or a matrix does not fit its step.</exception>
    public CompressionPlan(string recipe, IReadOnlyList<WeightStep> passing, int firstStep, Model model)
    {
        Recipe = recipe;
        List<(string Name, MatrixLayer Layer)> matrices = [.. model.Matrices()];
        for (int i = 0; i < passing.Count; i++)
        {
            WeightStep step = passing[i];
            string place = $"recipe '{recipe}', step {firstStep + i + 1} ({step.Key})";
            MatrixTargets.Check(matrices, step.Overrides.SelectMany(change => change.Targets), place);
            IReadOnlyList<(string Name, MatrixLayer Layer)> chosen = MatrixTargets.Chosen(model, step.Targets, step.Ignore, place);
            // A type of GGUF's would be lost on what GGUF has in float32.
            foreach ((string name, MatrixLayer layer) in chosen.Where(matrix => step is not GgufBlock || !ModelStorage.IsFloat32(model, matrix.Name)))
                Add(place, name, layer.Weight, step.For(name));
        }
        foreach (IReadOnlyList<string> together in ModelStorage.Together(model, inGguf: true))
            Unite(together, matrices.First(matrix => matrix.Name == together[0]).Layer.Weight.Columns);
    }

    // Matrices that a .gguf stores as one have one type there: of several the one of most bits.
    void Unite(IReadOnlyList<string> together, int columns)
    {
        if (!together.All(name => For(name) is [.., GgufBlock]))
            return;
        WeightStep widest = together.Select(name => steps[name][^1]).MaxBy(step => ((GgufBlock)step).For(columns)!.BitsPerWeight)!;
        foreach (string name in together)
            steps[name][^1] = widest;
    }

    /// <summary>The recipe's name.</summary>
    public string Recipe { get; }

    /// <summary>The steps for a matrix, in order; none where it is left alone.</summary>
    public IReadOnlyList<WeightStep> For(string name) => steps.TryGetValue(name, out List<WeightStep>? list) ? list : [];

    /// <summary>Every step that some matrix gets, once.</summary>
    internal IEnumerable<WeightStep> Distinct => steps.Values.SelectMany(own => own).Distinct<WeightStep>(ReferenceEqualityComparer.Instance);

    /// <summary>Spreads the sparsity of steps that do not take the same share of every matrix, from what the model is like now.</summary>
    /// <returns>Seconds that text was on its way through the model.</returns>
    internal double Spread(Model model, IReadOnlyList<IReadOnlyList<int[]>> texts, WorkerPool pool, CancellationToken cancel)
    {
        double textSeconds = 0;
        List<(string Name, MatrixLayer Layer)> matrices = [.. model.Matrices()];
        foreach (PruneStep step in Distinct.OfType<PruneStep>().Where(step => step.Allocation != SparsityAllocation.Uniform))
        {
            WholeModel whole = new(model, [.. matrices.Where(matrix => For(matrix.Name).Contains<WeightStep>(step, ReferenceEqualityComparer.Instance))], texts, pool, cancel);
            foreach ((string name, double share) in Allocator.Shares(step, whole))
                shares[name] = share;
            textSeconds += whole.TextSeconds;
        }
        return textSeconds;
    }

    /// <summary>A matrix's step with the share that it takes of it; null where that is none.</summary>
    internal WeightStep? AsSpread(string name, WeightStep step) => step is not PruneStep { Allocation: not SparsityAllocation.Uniform } prune || !shares.TryGetValue(name, out double share) ? step
        : share == 0 ? null : prune with { Sparsity = Math.Min(share, 1 - 1e-12) };

    /// <summary>Matrices that a step leaves on a grid other than that of 16-bit floating point.</summary>
    internal IEnumerable<string> Quantized => steps.Where(own => own.Value.Any(step => step.Effect == StepEffect.Quantize && step is not Cast { Type: not CastType.Int16 })).Select(own => own.Key);

    /// <summary>How many matrices have at least one step.</summary>
    public int Count => steps.Count;

    /// <summary>The most that any step of a matrix has to know.</summary>
    public Statistics Needs(string name) => For(name).Select(step => step.Needs).DefaultIfEmpty(Statistics.None).Max();

    /// <summary>The most that any step has to know: with <see cref="Statistics.None"/> no calibration text is needed.</summary>
    public Statistics MostNeeded => steps.Keys.Select(Needs).DefaultIfEmpty(Statistics.None).Max();

    void Add(string place, string name, Weight weight, WeightStep step)
    {
        if (!IsOpen(weight))
            throw new CoppiceException($"{place}: {name} is stored as {weight.Kind} already; compress the model that it was made from");
        if (step.Refuses(weight.Rows, weight.Columns) is { } reason)
            throw new CoppiceException($"{place}: {name} {weight.Shape}: {reason}");
        if (!steps.TryGetValue(name, out List<WeightStep>? earlier))
            steps.Add(name, earlier = []);
        foreach (WeightStep before in earlier)
            if (before.Effect == StepEffect.Quantize || step.Effect == StepEffect.Prune)
                throw new CoppiceException($"{place}: {name} is {Past(before)} by {before.Key} already, and is not to be {Past(step)} after that");
        earlier.Add(step);
    }

    // Plain numbers, or plain ones with zeros, which a step may round or add to.
    static bool IsOpen(Weight weight) => weight switch
    {
        DenseWeight or HalfWeight or StoredWeight or SparseWeight or TwoFourWeight => true,
        DeferredWeight deferred => deferred.Kind is "f32" or "f16" or "bf16" || deferred.Make() is SparseWeight or TwoFourWeight,
        _ => false,
    };

    static string Past(WeightStep step) => step.Effect == StepEffect.Prune ? "pruned" : "quantized";
}
