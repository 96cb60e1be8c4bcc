using System.Numerics.Tensors;
using Coppice.Formats;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation.Secure;

/// <summary>All numbers of a set in a row: tensors by name, each row-major.</summary>
static class ParameterRow
{
    /// <summary>What <paramref name="trained"/> has more than <paramref name="received"/> in tensors of the same names, read one after the other.</summary>
    /// <exception cref="CoppiceException">They have other numbers together than <paramref name="row"/>.</exception>
    public static void Difference(SafeTensors trained, SafeTensors received, Span<float> row)
    {
        int at = 0;
        foreach (string name in trained.Names.Order(StringComparer.Ordinal))
        {
            Tensor after = trained.ReadTensor(name), before = received.ReadTensor(name);
            if (after.Shape != before.Shape || after.Shape.Length > row.Length - at)
                throw FormatError.At(received.Path, $"tensor '{name}' is {before.Shape}, the update's is {after.Shape}, and {row.Length - at:N0} numbers are left; they are of different models");
            TensorPrimitives.Subtract<float>(after.Data, before.Data, row.Slice(at, after.Shape.Length));
            at += after.Shape.Length;
        }
        if (at < row.Length)
            throw FormatError.At(received.Path, $"is for updates of {row.Length:N0} numbers, this one has {at:N0}");
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
