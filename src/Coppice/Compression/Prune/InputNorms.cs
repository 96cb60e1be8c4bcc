using System.Diagnostics;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Prune;

/// <summary>Root mean squares of what enters matrices in a model as it is, in one pass over a text.</summary>
internal static class InputNorms
{
    /// <summary>For each matrix, by name, the root mean square of every input channel; zeros for an expert that no token is sent to.</summary>
    /// <exception cref="CoppiceException">An activation is not finite, or a matrix enters no product.</exception>
    public static Dictionary<string, float[]> Gather(WholeModel whole, IReadOnlyList<int[]> text)
    {
        long start = Stopwatch.GetTimestamp();
        Calibration calibration = new(whole.Model, text, whole.Pool);
        Dictionary<MatrixLayer, InputStatistics> inputs = [];
        HashSet<MatrixLayer> inBlocks = [];
        for (int i = 0; i < whole.Model.Blocks.Count; i++)
        {
            MatrixLayer[] layers = [.. whole.Model.Blocks[i].Stages.SelectMany(stage => stage.Matrices)];
            inBlocks.UnionWith(layers);
            Residence residence = Residence.Of(layers);
            foreach ((Linear linear, InputStatistics own) in calibration.AdvanceMeasuring(whole.Model.Blocks[i], i, whole.Cancel))
                inputs[linear] = own;
            residence.Leave();
        }
        Dictionary<string, float[]> norms = new(StringComparer.Ordinal);
        foreach ((string name, MatrixLayer layer) in whole.Matrices)
        {
            Residence residence = Residence.Of(inBlocks.Contains(layer) ? [] : [layer]);
            InputStatistics? own = inBlocks.Contains(layer) ? inputs.GetValueOrDefault(layer)
                : calibration.MeasureHead(layer, Statistics.ColumnNorms, whole.Cancel) ?? throw new CoppiceException($"{name}: enters no product, so that it has no inputs to look at");
            residence.Leave();
            if (own?.FirstNonFinite() is >= 0 and int channel)
                throw new CoppiceException($"{name}: calibration's activations are not finite in input channel {channel}; the model is damaged");
            norms.Add(name, own is null ? new float[layer.Weight.Columns] : [.. Enumerable.Range(0, own.Columns).Select(column => (float)Math.Sqrt(own.MeanSquare(column)))]);
        }
        whole.TextSeconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
        return norms;
    }
}

/// <summary>abs(w) times the norm of its input, as <see cref="Wanda"/> has it.</summary>
internal sealed class InputNormScores(Dictionary<string, float[]> norms) : IWeightScores
{
    /// <inheritdoc/>
    public long ByteCount => norms.Values.Sum(norm => sizeof(float) * (long)norm.Length);

    /// <inheritdoc/>
    public void Score(LayerWork work, Span<float> scores) => Wanda.Score(work.Dense, norms[work.Name], scores);

    /// <inheritdoc/>
    public void Dispose() => norms.Clear();
}
