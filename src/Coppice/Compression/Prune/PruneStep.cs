using System.Globalization;

namespace Coppice.Compression.Prune;

/// <summary>A step that sets a share of each matrix to zero.</summary>
public abstract record PruneStep : WeightStep
{
    /// <summary>The share that goes, above 0 and below 1. With a <see cref="Pattern"/> that one decides.</summary>
    public double Sparsity { get; init; } = 0.5;

    /// <summary>N:M, or null where the zeros may lie anywhere.</summary>
    public SparsityPattern? Pattern { get; init; }

    /// <summary>How <see cref="Sparsity"/> is spread over the step's matrices.</summary>
    public SparsityAllocation Allocation { get; init; }

    /// <summary>Whether spreading it looks at the matrices' inputs.</summary>
    internal bool ReadsInputs => Allocation is SparsityAllocation.Owl or SparsityAllocation.Kl || Allocation != SparsityAllocation.Uniform && this is not Magnitude;

    /// <inheritdoc/>
    public override StepEffect Effect => StepEffect.Prune;

    /// <inheritdoc/>
    public override Statistics Needs => ReadsInputs ? Statistics.ColumnNorms : Statistics.None;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => Pattern is { } pattern
        ? [("pattern", $"\"{pattern}\"")]
        : [("sparsity", Sparsity.ToString("R", CultureInfo.InvariantCulture)), .. Allocation == SparsityAllocation.Uniform ? Array.Empty<(string, string)>() : [("allocation", Allocation.ToString().ToLowerInvariant())]];

    /// <inheritdoc/>
    public override string? Refuses(int rows, int columns) => Pruning.Refuses(Pattern, columns);

    /// <summary>Masks the lowest scores of each row, or of the matrix.</summary>
    private protected void Mask(LayerWork work, float[] scores, PruneScope scope)
    {
        // What is pruned already counts towards the share, and goes before anything else.
        if (work.Mask is { } earlier)
            for (int i = 0; i < scores.Length; i++)
                if (!earlier[i])
                    scores[i] = 0;
        work.Mask = scope == PruneScope.Row || Pattern is not null
            ? Pruning.Rows(work.Pool, scores, work.Columns, Sparsity, Pattern)
            : Pruning.Whole(scores, Sparsity);
        work.Pattern = Pattern;
    }
}

/// <summary>Among which numbers the lowest scores are sought.</summary>
public enum PruneScope
{
    /// <summary>All of a matrix.</summary>
    Tensor,

    /// <summary>Those of one row (one output).</summary>
    Row,
}
