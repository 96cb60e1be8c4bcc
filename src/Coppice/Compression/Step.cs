using System.Collections.Immutable;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>One line of a recipe.</summary>
public abstract record Step
{
    /// <summary>Its key in YAML: the method's name in lower camel case.</summary>
    public abstract string Key { get; }

    /// <summary>Which matrices: globs over their full names (<c>*.mlp.*</c>), <c>re:</c> with a regular expression, or <c>kind:</c> with a part of the model; none means every matrix of the blocks, but neither embedding nor head nor what chooses experts.</summary>
    public ImmutableArray<string> Targets { get; init; } = [];

    /// <summary>What is left out, told in the same ways.</summary>
    public ImmutableArray<string> Ignore { get; init; } = [];

    /// <summary>Models that it reads beside the one it is for: their paths.</summary>
    internal virtual IEnumerable<string> Reads => [];

    /// <summary>Every option of its own with its value as YAML, in a fixed order.</summary>
    public abstract IEnumerable<(string Name, string Value)> Options { get; }
}

/// <summary>A step that edits one matrix at a time.</summary>
public abstract record WeightStep : Step
{
    /// <summary>What it makes of a matrix.</summary>
    public abstract StepEffect Effect { get; }

    /// <summary>Other options for some of its matrices; of several that fit one the last counts.</summary>
    public ImmutableArray<StepOverride> Overrides { get; init; } = [];

    /// <summary>The step with the options that a matrix gets.</summary>
    public WeightStep For(string matrix) => Overrides.LastOrDefault(change => change.Targets.Any(target => MatrixTargets.Matches(target, matrix)))?.Step ?? this;

    /// <summary>What it has to know about the inputs.</summary>
    public virtual Statistics Needs => Statistics.None;

    /// <summary>What is done in its place to a matrix that too few calibration tokens reach; null where there is nothing like it.</summary>
    public virtual WeightStep? WithoutInputs => Needs == Statistics.None ? this : null;

    /// <summary>Says why it cannot do a matrix of this size, or null where it can; asked before any work.</summary>
    public virtual string? Refuses(int rows, int columns) => null;

    /// <summary>Edits the mask, or the grid.</summary>
    public abstract void Apply(LayerWork work);

    /// <summary>The inputs' statistics, or a failure that says what is missing.</summary>
    protected InputStatistics InputsOf(LayerWork work) =>
        work.Inputs ?? throw new CoppiceException($"{work.Name}: {Key} needs calibration text and there is none");
}

/// <summary>A step's other form for some of its matrices.</summary>
/// <param name="Targets">Which, told as <see cref="Step.Targets"/> are.</param>
/// <param name="Step">The step with all its options.</param>
public sealed record StepOverride(ImmutableArray<string> Targets, WeightStep Step);

/// <summary>What a step makes of a matrix.</summary>
public enum StepEffect
{
    /// <summary>It sets numbers to zero.</summary>
    Prune,

    /// <summary>It moves numbers to a grid.</summary>
    Quantize,
}
