using System.Collections.Immutable;
using Coppice.Compression.Prune;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>A recipe in phases: runs of steps over single matrices, and steps over the whole model by themselves. Making it finds everything that can be wrong before any work.</summary>
public sealed class RecipePlan
{
    /// <summary>Lays a recipe over a model.</summary>
    /// <exception cref="CoppiceException">A target names nothing, steps contradict each other, or a matrix does not fit its step.</exception>
    public RecipePlan(Recipe recipe, Model model)
    {
        ImmutableArray<RecipePhase>.Builder phases = ImmutableArray.CreateBuilder<RecipePhase>();
        for (int i = 0; i < recipe.Steps.Length;)
        {
            RecipePhase phase = recipe.Steps[i] is ModelStep step
                ? new RecipePhase(phases.Count, i, []) { Model = step }
                : new RecipePhase(phases.Count, i, [.. recipe.Steps.Skip(i).TakeWhile(next => next is WeightStep).Cast<WeightStep>()]);
            if (phase.Model is { TakesTargets: false } whole && (whole.Targets.Length > 0 || whole.Ignore.Length > 0))
                throw new CoppiceException($"recipe '{recipe.Name}', step {i + 1} ({whole.Key}): is for the whole model and takes neither targets nor ignore");
            if (phase.Model is not null && recipe.Steps.Take(i).FirstOrDefault(before => IsGrid(before) || !phase.Model.TakesPruned && before is WeightStep or FineTune { Pruning: not null }) is { } earlier)
                throw new CoppiceException($"recipe '{recipe.Name}', step {i + 1} ({phase.Model.Key}): comes after {earlier.Key}, whose {(IsGrid(earlier) ? "grid" : "zeros")} it would not keep; put it before");
            phases.Add(phase);
            i += Math.Max(1, phase.Steps.Length);
        }
        Phases = phases.DrainToImmutable();
        HashSet<string> onGrid = [], packed = [];
        foreach (RecipePhase phase in Phases)
            if (phase.Model is { } step)
            {
                NeedsText |= step.NeedsCalibration || step.NeedsText;
                NeedsMoreThanNorms |= step.NeedsCalibration || step.NeedsText;
                if (step.NeedsCalibration || step.NeedsText && step is not TrainingStep)
                    NeedsTextItself ??= step.Key;
                IReadOnlyList<string> quantized = step.Quantizes(model, $"recipe '{recipe.Name}', step {phase.FirstStep + 1} ({step.Key})");
                onGrid.UnionWith(quantized);
                packed.UnionWith(quantized);
            }
            else
            {
                CompressionPlan plan = new(recipe.Name, phase.Steps, phase.FirstStep, model);
                NeedsText |= plan.MostNeeded != Statistics.None;
                WeightStep? whole = plan.Distinct.FirstOrDefault(own => own is PreparedPruneStep or PruneStep { Allocation: not SparsityAllocation.Uniform });
                NeedsMoreThanNorms |= plan.MostNeeded > Statistics.ColumnNorms || whole is not null;
                NeedsTextItself ??= whole?.Key;
                packed.UnionWith(plan.Quantized);
                if (onGrid.FirstOrDefault(name => plan.For(name).Count > 0) is { } kept)
                    throw new CoppiceException($"recipe '{recipe.Name}': {plan.For(kept)[0].Key} is for {kept} too, which a step before it has put on a grid; leave it out of one of them");
            }
        Packed = packed;
    }

    // What only exact codes say; a step after it would have to round again.
    static bool IsGrid(Step step) => step is WeightStep { Effect: StepEffect.Quantize } or Quantize.Qat;

    /// <summary>What is done one after the other.</summary>
    public ImmutableArray<RecipePhase> Phases { get; }

    /// <summary>Matrices that the recipe leaves on a grid.</summary>
    public IReadOnlySet<string> Packed { get; }

    /// <summary>Whether a step looks at calibration text.</summary>
    public bool NeedsText { get; }

    /// <summary>The first step that sums over single matrices' inputs would not do for, other than one that trains; null where there is none.</summary>
    internal string? NeedsTextItself { get; }

    /// <summary>Whether an importance matrix, which has mean squares of inputs alone, would not do in place of the text.</summary>
    public bool NeedsMoreThanNorms { get; }
}

/// <summary>Steps that go over the model together.</summary>
/// <param name="Number">From 0 on.</param>
/// <param name="FirstStep">The first one's place in the recipe, from 0 on.</param>
/// <param name="Steps">Over single matrices; none where <see cref="Model"/> is set.</param>
public sealed record RecipePhase(int Number, int FirstStep, ImmutableArray<WeightStep> Steps)
{
    // More than any model has blocks and matrices outside them.
    const int MostParts = 10_000;

    /// <summary>The one step over the whole model.</summary>
    public ModelStep? Model { get; init; }

    internal int FirstPart => Number * MostParts;

    internal int SeedOf(int seed) => unchecked(seed + Number * 1_000_003);
}
