using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>A step that gives another model: of other sizes, or of other parts.</summary>
public abstract record ModelStep : Step
{
    /// <summary>Whether it runs calibration text through the model.</summary>
    public virtual bool NeedsCalibration => false;

    /// <summary>A new model; the old one is left alone.</summary>
    /// <exception cref="CoppiceException">The step does not fit the model.</exception>
    public abstract Model Apply(ModelWork work);
}

/// <summary>One model on the bench of a <see cref="ModelStep"/>.</summary>
public sealed class ModelWork
{
    /// <summary>The model as it is: its matrices dense or of 16 bits, in memory or in their file.</summary>
    public required Model Model { get; init; }

    /// <summary>Token sequences, each at most the model's context long; none where no text was given.</summary>
    public IReadOnlyList<int[]> Calibration { get; init; } = [];

    /// <summary>Threads for the work.</summary>
    public required WorkerPool Pool { get; init; }

    /// <summary>Draws that depend on the run's seed alone.</summary>
    public Random Random { get; init; } = new(0);

    /// <summary>Stops the work.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>Told how much is done, 0 to 1.</summary>
    public IProgress<double>? Progress { get; init; }

    /// <summary>What the user should know.</summary>
    public List<string> Warnings { get; } = [];

    /// <summary>What was done, a line each: what went, with its score.</summary>
    public List<string> Notes { get; } = [];
}
