using System.Numerics.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>Drops, within each row, the smallest abs(w_ij) * ||x_j||, for the input channel j (Sun et al. 2023, eq. 1).</summary>
public sealed record Wanda : PruneStep
{
    /// <inheritdoc/>
    public override string Key => "wanda";

    /// <inheritdoc/>
    public override Statistics Needs => Statistics.ColumnNorms;

    /// <inheritdoc/>
    public override WeightStep WithoutInputs => new Magnitude { Sparsity = Sparsity, Pattern = Pattern, Scope = PruneScope.Row };

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        InputStatistics inputs = InputsOf(work);
        float[] norms = new float[work.Columns];
        for (int j = 0; j < norms.Length; j++)
            norms[j] = (float)Math.Sqrt(inputs.MeanSquare(j));
        float[] scores = new float[work.Dense.Length];
        Score(work.Dense, norms, scores);
        Mask(work, scores, PruneScope.Row);
    }

    /// <summary>abs(w_ij) * norm_j for weights [rows, columns] and norms [columns]. Norms over tokens and their root mean squares differ by one factor, so that either will do.</summary>
    public static void Score(ReadOnlySpan<float> weights, ReadOnlySpan<float> norms, Span<float> scores)
    {
        TensorPrimitives.Abs(weights, scores);
        for (int start = 0; start < weights.Length; start += norms.Length)
        {
            Span<float> row = scores.Slice(start, norms.Length);
            TensorPrimitives.Multiply(row, norms, row);
        }
    }
}
