using System.Numerics.Tensors;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Training;

/// <summary>w -= rate * gradient.</summary>
public sealed class Sgd(IReadOnlyList<Parameter> parameters) : Optimizer(parameters)
{
    /// <inheritdoc/>
    protected override void Update(WorkerPool pool, int index, double rate, double gradientScale, TrainingOptions options)
    {
        Tensor tensor = Parameters[index].Tensor;
        TensorPrimitives.MultiplyAdd(tensor.Grad!.Data, (float)(-rate * gradientScale), tensor.Data, tensor.Data);
    }
}
