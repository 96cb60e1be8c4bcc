using System.Numerics.Tensors;
using Coppice.Compression.Prune;
using Coppice.Models;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Compression.Structured;

/// <summary>First-order Taylor scores of units: with z a factor on a unit's activations, dL/dz is the sum over tokens of activation times gradient, which is the sum of w dL/dw over the weights that read the unit (Molchanov et al. 2019).</summary>
public static class TaylorScores
{
    /// <summary>Adds the sum over each column of w g, for weights and gradients [rows, columns], to <paramref name="sums"/> [columns].</summary>
    public static void AddColumnProducts(ReadOnlySpan<float> weights, ReadOnlySpan<float> gradients, Span<double> sums)
    {
        for (int start = 0; start < weights.Length; start += sums.Length)
            for (int j = 0; j < sums.Length; j++)
                sums[j] += (double)weights[start + j] * gradients[start + j];
    }

    /// <summary>For each set of matrices with the same inputs, the mean over batches of (dL/dz)^2 of each <paramref name="size"/> inputs that are a unit. Squared before the mean: of a trained model the mean itself is near 0.</summary>
    internal static double[][] Of(DecoderModel model, ModelWork work, IReadOnlyList<IReadOnlyList<MatrixLayer>> readers, int size = 1)
    {
        WholeModel whole = Whole(model, work, readers.SelectMany(set => set));
        Dictionary<MatrixLayer, int> places = whole.Matrices.Select((matrix, i) => (matrix.Layer, i)).ToDictionary(pair => pair.Layer, pair => pair.i);
        double[][] scores = [.. readers.Select(set => new double[set[0].Weight.Columns / size])];
        WeightGradients.ForEachBatch(whole, whole.Sequences, (values, share) =>
        {
            for (int i = 0; i < scores.Length; i++)
            {
                double[] sums = new double[scores[i].Length * size], units = new double[scores[i].Length];
                foreach (Tensor value in readers[i].Select(layer => values[places[layer]]))
                    AddColumnProducts(value.Data, value.Grad!.Data, sums);
                Importance.Groups(sums, size, units);
                for (int unit = 0; unit < units.Length; unit++)
                    scores[i][unit] += share * units[unit] * units[unit];
            }
        });
        return [.. scores.Select(Finite)];
    }

    /// <summary>For each set of matrices the sum of abs(w g), with g the mean gradient (Kim et al. 2024).</summary>
    internal static double[] OfAll(DecoderModel model, ModelWork work, IReadOnlyList<IReadOnlyList<MatrixLayer>> parts)
    {
        WholeModel whole = Whole(model, work, parts.SelectMany(set => set));
        Dictionary<string, float[]> gradients = WeightGradients.Gather(whole, whole.Sequences, GradientMoment.Mean);
        Dictionary<MatrixLayer, double> sums = [];
        foreach ((string name, MatrixLayer layer) in whole.Matrices)
        {
            float[] scores = layer.Weight.ToDense();
            GradientScores.Score(scores, gradients[name], 1, scores);
            sums.Add(layer, TensorPrimitives.Sum<float>(scores));
        }
        return Finite([.. parts.Select(set => set.Sum(layer => sums[layer]))]);
    }

    static WholeModel Whole(DecoderModel model, ModelWork work, IEnumerable<MatrixLayer> wanted)
    {
        HashSet<MatrixLayer> layers = [.. wanted];
        return new WholeModel(model, [.. model.Matrices().Where(matrix => layers.Contains(matrix.Layer))], [work.Calibration], work.Pool, work.Cancel);
    }

    static double[] Finite(double[] scores) =>
        Array.TrueForAll(scores, double.IsFinite) ? scores : throw new CoppiceException("taylor: the loss's gradients on the calibration text are not finite; the model is damaged");
}
