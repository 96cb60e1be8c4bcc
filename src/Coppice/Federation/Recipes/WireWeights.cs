using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Federation.Recipes;

/// <summary>A model's matrices as they are stored, packed ones included, on their way to clients.</summary>
static class WireWeights
{
    /// <summary>A matrix: <c>NAME.weight</c> in float32, or the parts of another kind.</summary>
    public static IEnumerable<TensorSource> Of(string name, Weight weight)
    {
        Weight own = MatrixLayout.InMemory(weight);
        return own is DenseWeight ? [TensorSource.Dense(name + ".weight", DType.F32, own)] : WeightParts.Of(name, own);
    }

    /// <summary>All of a model.</summary>
    public static IEnumerable<TensorSource> Of(Model model) =>
        model.Matrices().SelectMany(part => Of(part.Name, part.Layer.Weight)).Concat(Vectors(model));

    /// <summary>A model's norms and biases.</summary>
    public static IEnumerable<TensorSource> Vectors(Model model) => model.AllVectors().Select(part => TensorSource.Floats(part.Name, DType.F32, part.Vector));

    /// <summary>A matrix that came, or null where none of that name did.</summary>
    /// <exception cref="CoppiceException">It has another shape.</exception>
    public static Weight? Read(SafeTensors file, string name, int rows, int columns)
    {
        Weight? read = WeightParts.Read(file, name, rows, columns);
        if (read is null && file.Entries.ContainsKey(name + ".weight"))
            read = file.ReadWeight(name + ".weight");
        return read is null || read.Rows == rows && read.Columns == columns ? read : throw FormatError.At(file.Path, $"matrix '{name}' is {read.Shape}, wanted [{rows}, {columns}]");
    }

    /// <summary>A model of which some matrices may not have come yet; whoever asks for one fails.</summary>
    /// <exception cref="CoppiceException">A vector is missing, or something has another shape.</exception>
    public static DecoderModel Model(DecoderConfig config, SafeTensors file, string prefix = "") => new(config,
        (name, shape) => Read(file, prefix + WithoutSuffix(name), shape[0], shape[1]) ?? new DeferredWeight(shape[0], shape[1], () => throw FormatError.At(file.Path, $"matrix '{name}' has not come")),
        (name, shape) => file.ReadTensor(prefix + name) is var vector && vector.Shape == shape ? vector : throw FormatError.At(file.Path, $"tensor '{name}' is {vector.Shape}, wanted {shape}"));

    static string WithoutSuffix(string name) => name.EndsWith(".weight", StringComparison.Ordinal) ? name[..^".weight".Length] : name;
}
