using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Training;

/// <summary>What decay applies to.</summary>
public enum ParameterKind
{
    /// <summary>A matrix: decays.</summary>
    Matrix,

    /// <summary>A norm's gain: does not.</summary>
    Vector,
}

/// <summary>A trained tensor by its full checkpoint name.</summary>
public sealed record Parameter(string Name, Tensor Tensor, ParameterKind Kind)
{
    /// <summary>Of the tensor's shape: one where a number trains, zero where it is 0 and stays so. Null where all train.</summary>
    public Tensor? Mask { get; init; }

    /// <summary>Every parameter of a model, made trainable: matrices become float32 <see cref="DenseWeight"/>s with a gradient, masked as <paramref name="zeros"/> says.</summary>
    public static IReadOnlyList<Parameter> Of(Model model, ZeroHandling zeros = ZeroHandling.KeepPruned)
    {
        List<Parameter> parameters = [];
        foreach ((string name, MatrixLayer layer) in model.Matrices())
        {
            Tensor? mask = Pruned.Mask(layer, zeros);
            if (layer.Weight is not DenseWeight)
                layer.Weight = new DenseWeight(Tensor.From(layer.Weight.Shape, layer.Weight.ToDense()));
            parameters.Add(new Parameter(name + ".weight", ((DenseWeight)layer.Weight).Values, ParameterKind.Matrix) { Mask = mask });
        }
        foreach ((string name, Tensor vector) in model.AllVectors())
            parameters.Add(new Parameter(name, vector, ParameterKind.Vector));
        foreach (Parameter parameter in parameters)
            parameter.Tensor.TrackGradient();
        return parameters;
    }
}
