using System.Globalization;
using Coppice.Compression.Quantize;
using Coppice.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>Drops what the rest can best make up for, and has it do so: column after column, with the inputs' Gram matrix (Frantar and Alistarh 2023).</summary>
/// <remarks>The mask of <see cref="GptqSolver.Block"/> columns is chosen when all before them are settled, by (w_c / U_cc)^2 over all rows; with a pattern that of each group as it is reached.</remarks>
public sealed record SparseGpt : PruneStep
{
    /// <inheritdoc/>
    public override string Key => "sparseGpt";

    /// <inheritdoc/>
    public override Statistics Needs => Statistics.Gram;

    /// <summary>What is added to the Gram matrix's diagonal, as a share of its mean; above 0. Raised tenfold, with a warning, while the matrix has no Cholesky factor.</summary>
    public double Dampening { get; init; } = 0.01;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [.. base.Options, ("dampening", Dampening.ToString("R", CultureInfo.InvariantCulture))];

    /// <inheritdoc/>
    public override WeightStep WithoutInputs => new Magnitude { Sparsity = Sparsity, Pattern = Pattern };

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        InputStatistics inputs = InputsOf(work);
        if (inputs.MeanOfSquares == 0)
            work.Warnings.Add($"{work.Name}: all its calibration inputs are 0, so that sparseGpt prunes by magnitude");
        GptqFactor factor = GptqFactor.Of(work, inputs, ColumnOrder.Natural, Dampening);
        bool[] keep = new bool[work.Dense.Length];
        // A weight is settled when the work on it is done, so that both have one place.
        float[] settled = new float[work.Dense.Length];
        Solve(work.Pool, work.Dense, factor.Upper, work.Columns, Sparsity, Pattern, keep, settled, work.Mask, work.Cancel);
        foreach (float value in settled)
            if (!(Math.Abs(value) <= (float)Half.MaxValue))
                throw new CoppiceException($"{work.Name}: a weight grew to {value} to make up for others, past the {(float)Half.MaxValue} that can be stored; raise sparseGpt's dampening from {factor.Used.ToString("R", CultureInfo.InvariantCulture)}");
        (work.Dense, work.Mask, work.Pattern) = (settled, keep, Pattern);
    }

    /// <summary>Columns whose mask is chosen together, or that hold whole groups of a pattern.</summary>
    public static int BlockFor(SparsityPattern? pattern) => pattern is { } p ? Math.Max(1, GptqSolver.Block / p.Of) * p.Of : GptqSolver.Block;

    /// <summary>Which of the weights [rows, columns] are kept and what they become, 0 where they are not; U [columns, columns] is upper triangular with U^T U = H^-1. What <paramref name="before"/> did not keep goes first, and goes.</summary>
    internal static void Solve(WorkerPool pool, float[] weights, float[] u, int columns, double sparsity, SparsityPattern? pattern, bool[] keep, float[] settled, bool[]? before = null, CancellationToken cancel = default)
    {
        int[] order = [.. Enumerable.Range(0, columns)];
        int rows = weights.Length / columns, block = BlockFor(pattern);
        float[] scores = pattern is null ? new float[rows * Math.Min(block, columns)] : [];
        bool[] kept = new bool[scores.Length];
        if (pattern is { } p)
            GptqSolver.Solve(pool, weights, u, order, block, new ToPattern(p, u, columns, before, keep, settled), settled, cancel);
        else
            GptqSolver.Solve(pool, weights, u, order, block, new ToMask(keep, columns, settled), settled, cancel, Choose);

        // Counts are of all columns so far, so that what rounding takes from one block it gives to the next.
        void Choose(float[] current, int start, int end)
        {
            int width = end - start;
            ScoreJob job = new(current, u, columns, start, width, before, scores);
            pool.Run(rows, ref job);
            Pruning.Lowest(scores.AsSpan(0, rows * width), Pruning.CountOf(rows * end, sparsity) - Pruning.CountOf(rows * start, sparsity), kept);
            for (int row = 0; row < rows; row++)
                for (int c = 0; c < width; c++)
                    keep[row * columns + start + c] = kept[row * width + c] && before?[row * columns + start + c] is not false;
        }
    }

    // abs(w_c) / U_cc: the root of what the outputs lose, which orders alike and does not overflow.
    readonly struct ScoreJob(float[] weights, float[] u, int columns, int start, int width, bool[]? before, float[] scores) : IJob
    {
        public void Execute(int part)
        {
            for (int c = 0; c < width; c++)
                scores[part * width + c] = before?[part * columns + start + c] is false ? 0 : Math.Abs(weights[part * columns + start + c]) / u[(start + c) * (columns + 1)];
        }
    }
}

/// <summary>As <see cref="ToMask"/>, with each group's mask chosen as the group is reached, with all that its weights have taken up by then.</summary>
internal readonly struct ToPattern(SparsityPattern pattern, float[] u, int columns, bool[]? before, bool[] keep, float[] settled) : IRounding
{
    readonly ToMask toMask = new(keep, columns, settled);

    public float Round(int row, int column, ReadOnlySpan<float> current, int stride)
    {
        if (column % pattern.Of == 0)
        {
            Span<float> scores = stackalloc float[64];
            scores = scores[..pattern.Of];
            for (int i = 0; i < scores.Length; i++)
                scores[i] = before?[row * columns + column + i] is false ? 0 : Math.Abs(current[i * stride]) / u[(column + i) * (columns + 1)];
            Span<bool> kept = keep.AsSpan(row * columns + column, pattern.Of);
            Pruning.Pattern(scores, pattern, kept);
            for (int i = 0; before is not null && i < kept.Length; i++)
                kept[i] &= before[row * columns + column + i];
        }
        return toMask.Round(row, column, current, stride);
    }
}
