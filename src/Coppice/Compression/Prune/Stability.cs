using System.Collections.Immutable;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>Drops small weights that do not settle: the smallest abs(w) / sqrt(v + mean v), with v the weight's variance over checkpoints of one training run, or over clients' models.</summary>
public sealed record Stability : PreparedPruneStep
{
    /// <inheritdoc/>
    public override string Key => "stability";

    /// <summary>Models like the one that is pruned, two or more: folders, .gguf or .bin files.</summary>
    public ImmutableArray<string> Checkpoints { get; init; } = [];

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [.. base.Options, ("checkpoints", Recipe.List(Checkpoints))];

    /// <inheritdoc/>
    public override WeightStep WithoutInputs => this;

    internal override IEnumerable<string> Reads => Checkpoints;

    internal override IWeightScores Prepare(WholeModel whole)
    {
        if (Checkpoints.Length < 2)
            throw new CoppiceException($"stability: wanted at least two checkpoints, found {Checkpoints.Length}");
        StabilityScores scores = new();
        try
        {
            foreach (string path in Checkpoints)
                scores.Open(path, whole);
            return scores;
        }
        catch
        {
            scores.Dispose();
            throw;
        }
    }
}

/// <summary>Scores from checkpoints that stay in their files: a row of each is read when its matrix is done.</summary>
internal sealed class StabilityScores : IWeightScores
{
    readonly List<OpenModel> open = [];
    readonly List<Dictionary<string, MatrixLayer>> checkpoints = [];

    /// <inheritdoc/>
    public long ByteCount => 0;

    /// <summary>Adds a checkpoint, which has to have every matrix in the same shape.</summary>
    public void Open(string path, WholeModel whole)
    {
        OpenModel model = OpenModel.Open(path);
        open.Add(model);
        Dictionary<string, MatrixLayer> layers = model.Language.Model.Matrices().ToDictionary(matrix => matrix.Name, matrix => matrix.Layer, StringComparer.Ordinal);
        checkpoints.Add(layers);
        foreach ((string name, MatrixLayer layer) in whole.Matrices)
            if (!layers.TryGetValue(name, out MatrixLayer? own))
                throw new CoppiceException($"{path}: has no {name}, which stability wants of every checkpoint");
            else if (own.Weight.Shape != layer.Weight.Shape)
                throw new CoppiceException($"{path}: {name} is {own.Weight.Shape}, the model's is {layer.Weight.Shape}");
    }

    /// <inheritdoc/>
    public void Score(LayerWork work, Span<float> scores)
    {
        float[][] rows = [.. checkpoints.Select(_ => new float[work.Columns])];
        for (int row = 0; row < work.Rows; row++)
        {
            for (int i = 0; i < rows.Length; i++)
                checkpoints[i][work.Name].Weight.Unpack(row, rows[i]);
            Variance(rows, scores.Slice(row * work.Columns, work.Columns));
        }
        if (!Divide(work.Dense, scores))
            work.Warnings.Add($"{work.Name}: the checkpoints agree in every weight, so that stability prunes by magnitude");
    }

    /// <summary>The variance of each place over the rows, all of one length.</summary>
    public static void Variance(float[][] rows, Span<float> variance)
    {
        for (int j = 0; j < variance.Length; j++)
        {
            double mean = 0, sum = 0;
            foreach (float[] row in rows)
                mean += row[j] / (double)rows.Length;
            foreach (float[] row in rows)
                sum += (row[j] - mean) * (row[j] - mean);
            variance[j] = (float)(sum / rows.Length);
        }
    }

    /// <summary>From variances v to abs(w) / sqrt(v + mean v), in place; to abs(w), and false, where v is 0 everywhere.</summary>
    public static bool Divide(ReadOnlySpan<float> weights, Span<float> variance)
    {
        double mean = 0;
        foreach (float v in variance)
            mean += v / (double)variance.Length;
        for (int i = 0; i < variance.Length; i++)
            variance[i] = (float)(Math.Abs(weights[i]) / (mean == 0 ? 1 : Math.Sqrt(variance[i] + mean)));
        return mean != 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (OpenModel model in open)
            model.Dispose();
    }
}
