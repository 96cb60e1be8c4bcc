using System.Numerics.Tensors;
using Coppice.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>Drops the smallest of what several calibration texts' scores come to: each text is a task, and its scores are those of the model before any work, divided by their mean over the matrix.</summary>
public sealed record MultiTask : PreparedPruneStep
{
    /// <summary>Compares within rows, as <see cref="Wanda"/> does.</summary>
    public MultiTask() => Scope = PruneScope.Row;

    /// <inheritdoc/>
    public override string Key => "multiTask";

    /// <summary>Calibration text.</summary>
    public override Statistics Needs => Statistics.ColumnNorms;

    /// <summary>What scores a weight for one task.</summary>
    public TaskScore Score { get; init; }

    /// <summary>What a weight's scores come to.</summary>
    public TaskCombination Combine { get; init; }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
    [
        .. base.Options,
        ("score", Score switch { TaskScore.Wanda => "wanda", TaskScore.Gradient => "gradient", _ => "taylor" }),
        ("combine", Combine switch { TaskCombination.Mean => "mean", TaskCombination.Minimum => "minimum", _ => "maximum" }),
    ];

    internal override IWeightScores Prepare(WholeModel whole)
    {
        if (whole.Texts.Count < 2)
            throw new CoppiceException($"multiTask: wanted at least two calibration texts, one for each task, found {whole.Texts.Count}");
        return new MultiTaskScores([.. whole.Texts.Select(text => Of(whole, text))], Combine);
    }

    IWeightScores Of(WholeModel whole, IReadOnlyList<int[]> text) => Score == TaskScore.Wanda
        ? new InputNormScores(InputNorms.Gather(whole, text))
        : new GradientScores(WeightGradients.Gather(whole, text, Score == TaskScore.Gradient ? GradientMoment.Mean : GradientMoment.RootMeanSquare));
}

/// <summary>What scores a weight for one task.</summary>
public enum TaskScore
{
    /// <summary>As <see cref="Prune.Wanda"/>, on the inputs that the model has before any work.</summary>
    Wanda,

    /// <summary>As <see cref="Prune.Gradient"/>.</summary>
    Gradient,

    /// <summary>As <see cref="Prune.Taylor"/>, by its root.</summary>
    Taylor,
}

/// <summary>What the tasks' scores of a weight come to.</summary>
public enum TaskCombination
{
    /// <summary>Their mean.</summary>
    Mean,

    /// <summary>The smallest: only what serves every task is kept.</summary>
    Minimum,

    /// <summary>The largest: what serves any task is kept.</summary>
    Maximum,
}

/// <summary>Several tasks' scores as one.</summary>
internal sealed class MultiTaskScores(IReadOnlyList<IWeightScores> tasks, TaskCombination combination) : IWeightScores
{
    /// <inheritdoc/>
    public long ByteCount => tasks.Sum(task => task.ByteCount);

    /// <inheritdoc/>
    public void Score(LayerWork work, Span<float> scores)
    {
        float[] own = new float[scores.Length];
        int count = 0;
        foreach (IWeightScores task in tasks)
        {
            task.Score(work, own);
            if (Add(own, combination, scores, count))
                count++;
        }
        if (count == 0)
            scores.Clear();
    }

    /// <summary>Folds a task's scores, divided by their mean, into those of the <paramref name="earlier"/> before it. False where all are 0: a task that does not reach the matrix has no say.</summary>
    public static bool Add(Span<float> own, TaskCombination combination, Span<float> combined, int earlier)
    {
        double sum = 0;
        foreach (float score in own)
            sum += score;
        if (sum == 0)
            return false;
        TensorPrimitives.Multiply(own, (float)(own.Length / sum), own);
        if (earlier == 0)
            own.CopyTo(combined);
        else if (combination == TaskCombination.Mean)
            TensorPrimitives.Lerp(combined, own, 1f / (earlier + 1), combined);
        else if (combination == TaskCombination.Minimum)
            TensorPrimitives.Min<float>(combined, own, combined);
        else
            TensorPrimitives.Max<float>(combined, own, combined);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IWeightScores task in tasks)
            task.Dispose();
    }
}
