using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>A step over the whole model: it gives one of other sizes, of other parts, or with other numbers.</summary>
public abstract record ModelStep : Step
{
    /// <summary>Whether it runs calibration text through the model.</summary>
    public virtual bool NeedsCalibration => false;

    /// <summary>Whether it can take a model with pruned matrices; none can take a quantized one.</summary>
    public virtual bool TakesPruned => true;

    /// <summary>Whether it looks at text that is no calibration's: <see cref="ModelWork.Text"/>.</summary>
    public virtual bool NeedsText => false;

    /// <summary>Whether <see cref="Step.Targets"/> and <see cref="Step.Ignore"/> say which matrices it is about; otherwise it is about the whole model.</summary>
    public virtual bool TakesTargets => false;

    /// <summary>The matrices that it leaves on a grid, so that no step may come after it that changes them; <paramref name="place"/> begins what is said of one that it cannot do.</summary>
    internal virtual IReadOnlyList<string> Quantizes(Model model, string place) => [];

    /// <summary>A form of it that does part of the work on a model, and how many times that the whole is; what takes time by the length of calibration text is all of it.</summary>
    internal virtual (ModelStep Step, double Times) PartOn(Model model) => (this, 1);

    /// <summary>The new model. One of other sizes leaves the old one alone.</summary>
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

    /// <summary>Draws so many tokens of the text that calibration is drawn from, as sequences; null where there is none.</summary>
    public Func<int, IReadOnlyList<int[]>>? Text { get; init; }

    /// <summary>Those who train on text that is not here; null where nobody else holds any.</summary>
    public ITextHolders? Holders { get; init; }

    /// <summary>Reads the model that the run began with; null where nobody can.</summary>
    public Func<Model>? Base { get; init; }

    /// <summary>A file for work that takes long enough to be interrupted, and goes on from it; null where nothing is kept.</summary>
    public string? Checkpoint { get; init; }

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
