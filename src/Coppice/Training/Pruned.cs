using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Training;

/// <summary>What becomes of numbers that are 0 when training starts.</summary>
public enum ZeroHandling
{
    /// <summary>Those of pruned matrices stay 0: of matrices that are stored sparsely, and of products whose floats are a tenth or more zeros, which training alone does not leave.</summary>
    KeepPruned,

    /// <summary>Those of every matrix stay 0.</summary>
    KeepAll,

    /// <summary>They train as any other.</summary>
    Train,
}

/// <summary>Pruned matrices in training: which of their numbers train, and how they are stored when they no longer do.</summary>
public static class Pruned
{
    const double FewestZeros = 0.1;

    /// <summary>The masks [outputs, inputs] that training starts with: one where a number trains, zero where it is 0 and stays so; null where all of a matrix trains.</summary>
    public static Tensor? Mask(MatrixLayer layer, ZeroHandling zeros)
    {
        if (zeros == ZeroHandling.Train || zeros == ZeroHandling.KeepPruned && !IsPruned(layer))
            return null;
        Tensor mask = Tensor.From(layer.Weight.Shape, layer.Weight.ToDense());
        foreach (ref float value in mask.Data)
            value = value == 0 ? 0 : 1;
        return mask;
    }

    /// <summary>Of a model's matrices those that <see cref="Mask"/> has a mask for, and the share of zeros in these.</summary>
    public static (int Matrices, double Zeros) Count(Model model, ZeroHandling zeros)
    {
        Weight[] masked = [.. model.Matrices().Where(part => zeros == ZeroHandling.KeepAll || zeros == ZeroHandling.KeepPruned && IsPruned(part.Layer)).Select(part => part.Layer.Weight)];
        return (masked.Length, masked.Sum(weight => weight.Sparsity() * weight.Shape.Length) / Math.Max(1, masked.Sum(weight => (double)weight.Shape.Length)));
    }

    /// <summary>The numbers in whichever takes the fewest bytes: halves, a bitmask and the kept halves, or those as 2:4 where they are that.</summary>
    /// <exception cref="Coppice.Tensors.CoppiceException">A number is too large for a half.</exception>
    public static Weight Store(Tensor values)
    {
        (int rows, int columns) = (values.Shape[0], values.Shape[1]);
        Weight least = HalfWeight.From(HalfFormat.Float16, rows, columns, values.Data);
        SparseWeight sparse = SparseWeight.From(rows, columns, values.Data);
        if (sparse.ByteCount < least.ByteCount)
            least = sparse;
        if (9L * values.Shape.Length / 8 < least.ByteCount && TwoFour.Fits(columns, values.Data))
            least = TwoFourWeight.From(rows, columns, values.Data);
        return least;
    }

    static bool IsPruned(MatrixLayer layer) => layer.Weight switch
    {
        SparseWeight or TwoFourWeight or TwoFourIntWeight => true,
        DenseWeight or HalfWeight or Float8Weight when layer is Linear => layer.Weight.Sparsity() is >= FewestZeros and < 1,
        _ => false,
    };

    /// <summary>Makes what a mask prunes 0.</summary>
    internal static void Clear(Tensor values, Tensor mask) => TensorPrimitives.Multiply<float>(values.Data, mask.Data, values.Data);
}
