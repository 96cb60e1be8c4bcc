using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

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

    /// <summary>The tensors as safetensors entries of a type (F32, F16, BF16).</summary>
    internal IEnumerable<TensorSource> Sources(DType type) => tensors.Select(part => TensorSource.Floats(part.Key, type, part.Value));
}
