using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>A container in which a matrix may lie in parts (codes, scales, zero points): each is read back as one <see cref="Weight"/> under its layer's name and <c>.weight</c>.</summary>
public abstract class QuantizedCheckpoint : ICheckpoint
{
    internal const string WeightSuffix = ".weight";

    // The name of each matrix that has parts, and what their names start with.
    readonly IReadOnlyDictionary<string, string> prefixes;
    readonly SortedSet<string> names = new(StringComparer.Ordinal);

    private protected QuantizedCheckpoint(TensorContainer tensors, IReadOnlyDictionary<string, string> prefixes, params ReadOnlySpan<string> parts)
    {
        (Tensors, this.prefixes) = (tensors, prefixes);
        HashSet<string> hidden = new(StringComparer.Ordinal);
        foreach (string prefix in prefixes.Values)
            foreach (string part in parts)
                hidden.Add($"{prefix}.{part}");
        names.UnionWith(tensors.Names.Where(name => !hidden.Contains(name)));
        names.UnionWith(prefixes.Keys);
    }

    private protected TensorContainer Tensors { get; }

    /// <inheritdoc/>
    public string Path => Tensors.Path;

    /// <inheritdoc/>
    public IReadOnlyCollection<string> Names => names;

    /// <inheritdoc/>
    public ImmutableArray<long> ShapeOf(string name)
    {
        if (!prefixes.TryGetValue(name, out string? prefix))
            return Tensors.ShapeOf(name);
        (int rows, int columns) = SizesOf(prefix);
        return [rows, columns];
    }

    /// <inheritdoc/>
    public Weight ReadWeight(string name) => prefixes.TryGetValue(name, out string? prefix) ? ReadParts(prefix) : Tensors.ReadWeight(name);

    /// <inheritdoc/>
    public Weight OpenWeight(string name) => prefixes.TryGetValue(name, out string? prefix) ? ReadParts(prefix) : Tensors.OpenWeight(name);

    /// <inheritdoc/>
    public Tensor ReadTensor(string name)
    {
        if (!prefixes.TryGetValue(name, out string? prefix))
            return Tensors.ReadTensor(name);
        Weight weight = ReadParts(prefix);
        Tensor dense = new(weight.Shape);
        weight.Unpack(0, dense.Data);
        return dense;
    }

    /// <inheritdoc/>
    public void Dispose() => Tensors.Dispose();

    /// <summary>The sizes of the matrix whose parts' names start with <paramref name="prefix"/>.</summary>
    private protected abstract (int Rows, int Columns) SizesOf(string prefix);

    /// <summary>The matrix itself.</summary>
    private protected abstract Weight ReadParts(string prefix);

    /// <summary>A part of a known type and shape.</summary>
    private protected TensorEntry Expect(string name, DType type, params ReadOnlySpan<long> shape)
    {
        TensorEntry entry = Tensors.Find(name);
        return entry.DType == type && entry.Shape.AsSpan().SequenceEqual(shape)
            ? entry
            : throw entry.Error($"is {entry.DType} {TensorEntry.Describe(entry.Shape)}, wanted {type} [{string.Join(", ", shape.ToArray())}]");
    }

    /// <summary>A matrix of whole words of codes.</summary>
    private protected TensorEntry ExpectWords(string name)
    {
        TensorEntry entry = Tensors.Find(name);
        return entry.DType == DType.I32 && entry.Shape.Length == 2
            ? entry
            : throw entry.Error($"is {entry.DType} {TensorEntry.Describe(entry.Shape)}, wanted I32 of two axes");
    }

    /// <summary>Sizes that a matrix in memory can have.</summary>
    private protected static (int Rows, int Columns) Checked(TensorEntry entry, long rows, long columns) =>
        rows >= 0 && columns >= 0 && Math.Max(rows, columns) <= Array.MaxLength / 8 && rows * columns <= Array.MaxLength
            ? ((int)rows, (int)columns)
            : throw entry.Error($"says [{rows}, {columns}], wanted a matrix of at most {Array.MaxLength:N0} numbers");

    /// <summary>Scales of a known shape, every one exactly a half.</summary>
    private protected Half[] ReadScales(string name, params ReadOnlySpan<long> shape)
    {
        TensorEntry entry = Tensors.Find(name);
        if (!entry.Shape.AsSpan().SequenceEqual(shape))
            throw entry.Error($"is {TensorEntry.Describe(entry.Shape)}, wanted [{string.Join(", ", shape.ToArray())}]");
        float[] exact = new float[entry.Count];
        entry.ReadFloats(0, exact);
        Half[] scales = new Half[exact.Length];
        for (int i = 0; i < exact.Length; i++)
        {
            scales[i] = (Half)exact[i];
            if (!Half.IsFinite(scales[i]) || (float)scales[i] != exact[i])
                throw entry.Error($"holds the scale {exact[i]:R}, which a half does not hold exactly; wanted F16");
        }
        return scales;
    }

    /// <summary>A copy of all values of a part.</summary>
    private protected static T[] Read<T>(TensorEntry entry) where T : unmanaged => MemoryMarshal.Cast<byte, T>(entry.ToBytes()).ToArray();
}
