using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Explanation;

/// <summary>The sanity check of Adebayo et al. 2018: while this lives, every matrix of a model is noise of the same variance; disposing puts the weights back.</summary>
internal sealed class RandomizedWeights : IDisposable
{
    readonly List<(MatrixLayer Layer, Weight Weight)> kept = [];

    public RandomizedWeights(Model model, int seed)
    {
        Random random = new(seed);
        foreach ((_, MatrixLayer layer) in model.Matrices())
        {
            kept.Add((layer, layer.Weight));
            layer.Weight = Noise(layer.Weight, random);
        }
    }

    public void Dispose()
    {
        foreach ((MatrixLayer layer, Weight weight) in kept)
            layer.Weight = weight;
    }

    // Uniform in +-sqrt(3) deviations has the wanted variance.
    static DenseWeight Noise(Weight weight, Random random)
    {
        float[] values = weight.ToDense();
        double square = 0;
        foreach (float value in values)
            square += (double)value * value;
        double reach = Math.Sqrt(3 * square / values.Length);
        foreach (ref float value in values.AsSpan())
            value = (float)(reach * (2 * random.NextDouble() - 1));
        return new DenseWeight(Tensor.From(weight.Shape, values));
    }
}
