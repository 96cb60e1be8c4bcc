using System.Globalization;
using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>Drops the smallest abs(w g) of one batch, as a share of their sum over all matrices of the step: the connection's sensitivity (Lee et al. 2019). Meant for models before training.</summary>
public sealed record Snip : PreparedPruneStep
{
    /// <inheritdoc/>
    public override string Key => "snip";

    /// <summary>Calibration text; experts that few tokens reach have no gradient to speak of.</summary>
    public override Statistics Needs => Statistics.ColumnNorms;

    /// <summary>Tokens of the batch: the first sequences of the calibration text until there are as many.</summary>
    public int Tokens { get; init; } = 2048;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [.. base.Options, ("tokens", Tokens.ToString(CultureInfo.InvariantCulture))];

    internal override IWeightScores Prepare(WholeModel whole)
    {
        Dictionary<string, float[]> gradients = WeightGradients.Gather(whole, Batch(whole.Sequences), GradientMoment.Mean);
        double sum = 0;
        foreach ((string name, MatrixLayer layer) in whole.Matrices)
        {
            float[] scores = layer.Weight.ToDense();
            GradientScores.Score(scores, gradients[name], 1, scores);
            sum += TensorPrimitives.Sum<float>(scores);
        }
        if (!(sum > 0))
            throw new CoppiceException("snip: the loss has no gradient on the batch");
        return new GradientScores(gradients, (float)(1 / sum));
    }

    IEnumerable<int[]> Batch(IEnumerable<int[]> sequences)
    {
        int tokens = 0;
        foreach (int[] sequence in sequences)
        {
            if (tokens >= Tokens)
                yield break;
            tokens += sequence.Length;
            yield return sequence;
        }
    }
}
