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
    /// <summary>Every parameter of a model, made trainable: matrices become float32 <see cref="DenseWeight"/>s with a gradient.</summary>
    public static IReadOnlyList<Parameter> Of(Model model)
    {
        List<Parameter> parameters = [];
        foreach ((string name, MatrixLayer layer) in model.Matrices())
        {
            if (layer.Weight is not DenseWeight)
                layer.Weight = new DenseWeight(Tensor.From(layer.Weight.Shape, layer.Weight.ToDense()));
            parameters.Add(new Parameter(name + ".weight", ((DenseWeight)layer.Weight).Values, ParameterKind.Matrix));
        }
        foreach ((string name, Tensor vector) in model.AllVectors())
            parameters.Add(new Parameter(name, vector, ParameterKind.Vector));
        foreach (Parameter parameter in parameters)
            parameter.Tensor.TrackGradient();
        return parameters;
    }
}
