using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>Puts a model's matrices and vectors back as they were; the numbers of a matrix that is in memory are not to be changed in place meanwhile.</summary>
sealed class UnchangedModel : IDisposable
{
    readonly List<(MatrixLayer Layer, Weight Weight)> matrices = [];
    readonly List<(Tensor Vector, float[] Numbers)> vectors = [];

    /// <summary>Remembers a model as it is.</summary>
    public UnchangedModel(Model model)
    {
        foreach ((_, MatrixLayer layer) in model.Matrices())
            matrices.Add((layer, layer.Weight));
        foreach ((_, Tensor vector) in model.AllVectors())
            vectors.Add((vector, vector.Data.ToArray()));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach ((MatrixLayer layer, Weight weight) in matrices)
            layer.Weight = weight;
        foreach ((Tensor vector, float[] numbers) in vectors)
            numbers.CopyTo(vector.Data);
    }
}
