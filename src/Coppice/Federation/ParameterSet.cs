using System.Numerics.Tensors;
using System.Runtime.Intrinsics;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation;

/// <summary>A model's numbers as float32 tensors under their checkpoint names, sorted by name: what travels between server and clients.</summary>
public sealed class ParameterSet
{
    readonly SortedDictionary<string, Tensor> tensors = new(StringComparer.Ordinal);

    /// <summary>Wraps (does not copy) tensors; every name once.</summary>
    public ParameterSet(IEnumerable<(string Name, Tensor Tensor)> tensors)
    {
        foreach ((string name, Tensor tensor) in tensors)
            this.tensors.Add(name, tensor);
    }

    /// <summary>A copy of a model's numbers, however they are stored.</summary>
    public static ParameterSet Copy(Model model) => new(
        model.Matrices().Select(part => (part.Name + ".weight", Tensor.From(part.Layer.Weight.Shape, part.Layer.Weight.ToDense())))
            .Concat(model.AllVectors().Select(part => (part.Name, Tensor.From(part.Vector.Shape, part.Vector.Data)))));

    /// <summary>The tensors, by name.</summary>
    public IReadOnlyDictionary<string, Tensor> Tensors => tensors;

    /// <summary>How many numbers there are.</summary>
    public long Count => tensors.Values.Sum(tensor => (long)tensor.Shape.Length);

    /// <summary>A set of the same names and shapes, made one tensor at a time.</summary>
    public ParameterSet Map(Func<string, Tensor, Tensor> make) => new(tensors.Select(part => (part.Key, make(part.Key, part.Value))));

    /// <summary>Zeros of the same names and shapes.</summary>
    public ParameterSet Zeros() => Map((_, tensor) => new Tensor(tensor.Shape));

    /// <summary>Those whose names a condition holds for; nothing is copied.</summary>
    public ParameterSet Where(Func<string, bool> condition) => new(tensors.Where(part => condition(part.Key)).Select(part => (part.Key, part.Value)));

    /// <summary>The same tensors under other names; nothing is copied.</summary>
    internal ParameterSet Renamed(Func<string, string> rename) => new(tensors.Select(part => (rename(part.Key), part.Value)));

    /// <summary>2-norm over all numbers, in double: a hostile update may hold numbers whose squares float32 does not.</summary>
    public double Norm() => Math.Sqrt(tensors.Values.Sum(tensor => SquaredDistance(tensor.Data, default)));

    /// <summary>2-norm of the difference from a set of the same names and shapes.</summary>
    public double DistanceTo(ParameterSet other) => Math.Sqrt(tensors.Sum(part => SquaredDistance(part.Value.Data, other.tensors[part.Key].Data)));

    /// <summary>The numbers less those of a set of the same names and shapes.</summary>
    public ParameterSet Minus(ParameterSet other) => Map((name, tensor) =>
    {
        Tensor difference = new(tensor.Shape);
        TensorPrimitives.Subtract<float>(tensor.Data, other.tensors[name].Data, difference.Data);
        return difference;
    });

    /// <summary>Puts the numbers into a model of the same names and shapes; its matrices become float32.</summary>
    public void CopyTo(Model model)
    {
        foreach ((string name, MatrixLayer layer) in model.Matrices())
        {
            Tensor source = tensors[name + ".weight"];
            if (layer.Weight is not DenseWeight)
                layer.Weight = new DenseWeight(new Tensor(source.Shape));
            Set(((DenseWeight)layer.Weight).Values, source);
        }
        foreach ((string name, Tensor vector) in model.AllVectors())
            Set(vector, tensors[name]);

        static void Set(Tensor target, Tensor source)
        {
            source.Data.CopyTo(target.Data);
            target.MarkChanged();
        }
    }

    /// <summary>Numbers of a tensor that are taken at a time: its sums are those of its pieces, one after the other, so that whoever reads one piece at a time comes to the same.</summary>
    internal const int PieceLength = 1 << 16;

    /// <summary>Squared 2-norm of the difference of two tensors, or of the numbers themselves where there is nothing to subtract; in double.</summary>
    internal static double SquaredDistance(ReadOnlySpan<float> values, ReadOnlySpan<float> other)
    {
        double sum = 0;
        for (int at = 0; at < values.Length; at += PieceLength)
        {
            int count = Math.Min(PieceLength, values.Length - at);
            sum += SquaredDistanceOfPiece(values.Slice(at, count), other.IsEmpty ? other : other.Slice(at, count));
        }
        return sum;
    }

    // Eight sums beside each other on any machine.
    static double SquaredDistanceOfPiece(ReadOnlySpan<float> values, ReadOnlySpan<float> other)
    {
        Vector512<double> sums = Vector512<double>.Zero;
        int i = 0;
        for (; i <= values.Length - Vector512<double>.Count; i += Vector512<double>.Count)
        {
            Vector512<double> difference = other.IsEmpty ? Doubles(values, i) : Doubles(values, i) - Doubles(other, i);
            sums += difference * difference;
        }
        double sum = 0;
        for (int lane = 0; lane < Vector512<double>.Count; lane++)
            sum += sums[lane];
        for (; i < values.Length; i++)
        {
            double difference = other.IsEmpty ? values[i] : (double)values[i] - other[i];
            sum += difference * difference;
        }
        return sum;

        static Vector512<double> Doubles(ReadOnlySpan<float> values, int at)
        {
            (Vector256<double> low, Vector256<double> high) = Vector256.Widen(Vector256.Create(values.Slice(at, Vector256<float>.Count)));
            return Vector512.Create(low, high);
        }
    }

    /// <summary>The tensors as safetensors entries of a type (F32, F16, BF16).</summary>
    internal IEnumerable<TensorSource> Sources(DType type) => tensors.Select(part => TensorSource.Floats(part.Key, type, part.Value));
}
