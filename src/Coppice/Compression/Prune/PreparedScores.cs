using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>What a recipe's <see cref="PreparedPruneStep"/>s know, for as long as a run takes.</summary>
internal sealed class PreparedScores : IDisposable
{
    readonly Dictionary<Step, IWeightScores> scores = new(ReferenceEqualityComparer.Instance);

    /// <summary>Has every such step look at the model, which is as it was loaded.</summary>
    public PreparedScores(CompressionPlan plan, Model model, IReadOnlyList<IReadOnlyList<int[]>> texts, WorkerPool pool, IProgress<CompressionProgress>? progress, CancellationToken cancel)
    {
        List<(string Name, MatrixLayer Layer)> matrices = [.. model.Matrices()];
        try
        {
            foreach (PreparedPruneStep step in plan.Distinct.OfType<PreparedPruneStep>())
            {
                progress?.Report(new CompressionProgress($"{step.Key} scores", 0, matrices.Count));
                WholeModel whole = new(model, [.. matrices.Where(matrix => plan.For(matrix.Name).Any(own => ReferenceEquals(own, step)))], texts, pool, cancel);
                scores.Add(step, step.Prepare(whole));
                TextSeconds += whole.TextSeconds;
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Time that text was on its way through the model.</summary>
    public double TextSeconds { get; }

    /// <summary>Bytes that they hold together.</summary>
    public long ByteCount => scores.Values.Sum(own => own.ByteCount);

    /// <summary>Those of a matrix's step, or null where it has no such step.</summary>
    public IWeightScores? For(IEnumerable<WeightStep> steps) => steps.Select(step => scores.GetValueOrDefault(step)).FirstOrDefault(own => own is not null);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IWeightScores own in scores.Values)
            own.Dispose();
    }
}
