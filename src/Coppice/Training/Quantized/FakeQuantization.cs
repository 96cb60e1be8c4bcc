using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Training.Quantized;

/// <summary>The matrices of a run that train as integers, and their steps beside the other parameters.</summary>
sealed class FakeQuantization
{
    readonly QuantizedMatrix[] matrices;
    readonly int seed;

    /// <summary>Stands before the first step of a model whose parameters these are.</summary>
    /// <exception cref="CoppiceException">A name is none of the model's, or groups do not divide a matrix.</exception>
    public FakeQuantization(Model model, IReadOnlyList<Parameter> parameters, QuantizedTraining options, int seed)
    {
        this.seed = seed;
        Dictionary<string, MatrixLayer> layers = model.Matrices().ToDictionary(part => part.Name, part => part.Layer);
        Dictionary<string, Parameter> known = parameters.ToDictionary(parameter => parameter.Name);
        HashSet<MatrixLayer> inBlocks = MatrixTargets.InBlocks(model);
        IEnumerable<string> names = options.Matrices.IsEmpty ? layers.Where(part => inBlocks.Contains(part.Value)).Select(part => part.Key) : options.Matrices;
        matrices = [.. names.Select(name => layers.TryGetValue(name, out MatrixLayer? layer)
            ? new QuantizedMatrix(layer, known[name + ".weight"], options)
            : throw new CoppiceException($"Quantization in training: '{name}' is none of the model's matrices; the nearest is '{NearestName.Of(name, layers.Keys)}'"))];
    }

    /// <summary>What trains besides the weights.</summary>
    public IEnumerable<Parameter> Parameters => matrices.Select(matrix => matrix.Sizes);

    /// <summary>Before a step's forward pass: rounds.</summary>
    public void Round(WorkerPool pool, int step)
    {
        for (int i = 0; i < matrices.Length; i++)
            matrices[i].Round(pool, Draw(step, i));
    }

    /// <summary>Where the gradients are there: the weights come back, and gradients become theirs and the steps'.</summary>
    public void Back(WorkerPool pool)
    {
        foreach (QuantizedMatrix matrix in matrices)
        {
            matrix.Restore();
            matrix.Back(pool);
        }
    }

    /// <summary>The weights come back.</summary>
    public void Restore()
    {
        foreach (QuantizedMatrix matrix in matrices)
            matrix.Restore();
    }

    /// <summary>After the optimizer moved weights and steps.</summary>
    public void Limit()
    {
        foreach (QuantizedMatrix matrix in matrices)
            matrix.Limit();
    }

    /// <summary>Stores what a step's forward pass would see.</summary>
    public void Store(WorkerPool pool, int step)
    {
        for (int i = 0; i < matrices.Length; i++)
            matrices[i].Layer.Weight = matrices[i].Store(pool, Draw(step, i));
    }

    int Draw(int step, int matrix) => unchecked((seed * 1_000_003 + step) * 1_000_003 + matrix);
}
