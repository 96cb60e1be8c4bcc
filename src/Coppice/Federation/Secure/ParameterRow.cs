using System.Numerics.Tensors;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation.Secure;

/// <summary>All numbers of a set in a row: tensors by name, each row-major.</summary>
static class ParameterRow
{
    /// <summary>What <paramref name="trained"/> has more than <paramref name="received"/>, of the same names and shapes.</summary>
    public static float[] Difference(ParameterSet trained, ParameterSet received)
    {
        float[] row = new float[LengthOf(trained)];
        int at = 0;
        foreach ((string name, Tensor tensor) in trained.Tensors)
        {
            TensorPrimitives.Subtract<float>(tensor.Data, received.Tensors[name].Data, row.AsSpan(at, tensor.Shape.Length));
            at += tensor.Shape.Length;
        }
        return row;
    }

    /// <summary>A set like another from its row.</summary>
    public static ParameterSet ToSet(float[] row, ParameterSet like)
    {
        int at = 0;
        return like.Map((_, tensor) =>
        {
            Tensor part = Tensor.From(tensor.Shape, row.AsSpan(at, tensor.Shape.Length));
            at += tensor.Shape.Length;
            return part;
        });
    }

    /// <summary>Numbers in the row.</summary>
    /// <exception cref="CoppiceException">More than one array holds.</exception>
    public static int LengthOf(ParameterSet set) => set.Count is > 0 and < int.MaxValue / 2
        ? (int)set.Count
        : throw new CoppiceException($"Secure aggregation: a model of {set.Count:N0} numbers, wanted fewer than {int.MaxValue / 2:N0}");
}
