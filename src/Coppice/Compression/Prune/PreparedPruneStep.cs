using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>A pruning step whose scores need a look at the whole model, once, before its first block is edited.</summary>
public abstract record PreparedPruneStep : PruneStep
{
    /// <summary>Among which numbers the smallest are sought; a pattern always looks within its group.</summary>
    public PruneScope Scope { get; init; } = PruneScope.Tensor;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
        Pattern is null ? [.. base.Options, ("scope", Scope == PruneScope.Row ? "row" : "tensor")] : base.Options;

    /// <inheritdoc/>
    public override WeightStep WithoutInputs => new Magnitude { Sparsity = Sparsity, Pattern = Pattern, Scope = Scope };

    /// <summary>Looks at the model; what is returned scores each of the step's matrices later.</summary>
    internal abstract IWeightScores Prepare(WholeModel whole);

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        IWeightScores prepared = work.Scores ?? throw new InvalidOperationException($"{Key}: {work.Name} comes without the scores that were to be prepared");
        float[] scores = new float[work.Dense.Length];
        prepared.Score(work, scores);
        if (scores.AsSpan().IndexOfAnyExceptInRange(0, float.MaxValue) is >= 0 and int place)
            throw new CoppiceException($"{work.Name}: {Key} scores the weight at row {place / work.Columns}, column {place % work.Columns} {scores[place]}, wanted a finite number");
        Mask(work, scores, Scope);
    }
}

/// <summary>What a step knows of each of its matrices once it has looked at the whole model.</summary>
internal interface IWeightScores : IDisposable
{
    /// <summary>Bytes that it holds until the last matrix is done.</summary>
    long ByteCount { get; }

    /// <summary>A score for each of a matrix's numbers, not negative and finite; the lowest go.</summary>
    void Score(LayerWork work, Span<float> scores);
}

/// <summary>A model as it is before any work, for <see cref="PreparedPruneStep"/>.</summary>
/// <param name="Model">The model.</param>
/// <param name="Matrices">Those of its matrices that the step is to score.</param>
/// <param name="Texts">The calibration texts, each as token sequences; none where no step needs them.</param>
/// <param name="Pool">Threads.</param>
/// <param name="Cancel">Stops the work.</param>
internal sealed record WholeModel(Model Model, IReadOnlyList<(string Name, MatrixLayer Layer)> Matrices, IReadOnlyList<IReadOnlyList<int[]>> Texts, WorkerPool Pool, CancellationToken Cancel)
{
    /// <summary>Time that text was on its way through the model: what grows with its length.</summary>
    public double TextSeconds { get; set; }

    /// <summary>The sequences of all texts.</summary>
    public IEnumerable<int[]> Sequences => Texts.SelectMany(text => text);
}
