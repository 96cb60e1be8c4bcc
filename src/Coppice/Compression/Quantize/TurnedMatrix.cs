using System.Numerics.Tensors;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Compression.Quantize;

/// <summary>Matrices between channels that are turned by a rotation R, run by run where it is shorter: (R x)' = x' R'.</summary>
static class TurnedMatrix
{
    /// <summary>W diag(gain) R': reads turned inputs as W read those that were scaled by <paramref name="gain"/>, which is empty where they were not.</summary>
    public static Weight OfInputs(WorkerPool pool, Weight weight, Rotation rotation, ReadOnlySpan<float> gain)
    {
        float[] numbers = weight.ToDense();
        if (!gain.IsEmpty)
            for (int start = 0; start < numbers.Length; start += gain.Length)
                TensorPrimitives.Multiply(numbers.AsSpan(start, gain.Length), gain, numbers.AsSpan(start, gain.Length));
        rotation.Apply(pool, numbers);
        return new DenseWeight(Tensor.From(weight.Shape, numbers));
    }

    /// <summary>R W, and R b for the bias: gives turned outputs.</summary>
    public static void TurnOutputs(WorkerPool pool, Linear giver, Rotation rotation)
    {
        Weight weight = giver.Weight;
        float[] columns = GptqLayout.Transpose<float>(weight.ToDense(), weight.Rows, weight.Columns);
        rotation.Apply(pool, columns);
        giver.Weight = new DenseWeight(Tensor.From(weight.Shape, GptqLayout.Transpose<float>(columns, weight.Columns, weight.Rows)));
        if (giver.Bias is { } bias)
        {
            float[] turned = bias.Data.ToArray();
            rotation.Apply(pool, turned);
            turned.CopyTo(bias.Data);
        }
    }
}
