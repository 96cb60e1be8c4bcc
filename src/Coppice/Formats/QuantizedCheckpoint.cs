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
            {
                hidden.Add($"{prefix}.{part}");
                hidden.Add($"{Module(prefix)}.{part}");
            }
        names.UnionWith(tensors.Names.Where(name => !hidden.Contains(name)));
        names.UnionWith(prefixes.Keys);
    }

    private protected TensorContainer Tensors { get; }

    /// <summary>The layer that parts belong to: some layouts name them after its weight.</summary>
    private protected static string Module(string prefix) => prefix.EndsWith(WeightSuffix, StringComparison.Ordinal) ? prefix[..^WeightSuffix.Length] : prefix;

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
    public Weight ReadWeight(string name) => prefixes.TryGetValue(name, out string? prefix) ? Held(ReadParts(prefix)) : Tensors.ReadWeight(name);

    /// <inheritdoc/>
    public Weight OpenWeight(string name)
    {
        if (!prefixes.TryGetValue(name, out string? prefix))
            return Tensors.OpenWeight(name);
        (int rows, int columns) = SizesOf(prefix);
        return new DeferredWeight(rows, columns, () => ReadParts(prefix));
    }

    /// <inheritdoc/>
    public TensorEntry? Entry(string name) => prefixes.ContainsKey(name) ? null : Tensors.Find(name);

    /// <inheritdoc/>
    public Tensor ReadTensor(string name)
    {
        if (!prefixes.TryGetValue(name, out string? prefix))
            return Tensors.ReadTensor(name);
        Weight weight = Held(ReadParts(prefix));
        Tensor dense = new(weight.Shape);
        weight.Unpack(0, dense.Data);
        return dense;
    }

    /// <inheritdoc/>
    public void Dispose() => Tensors.Dispose();

    /// <summary>The sizes of the matrix whose parts' names start with <paramref name="prefix"/>.</summary>
    private protected abstract (int Rows, int Columns) SizesOf(string prefix);

    /// <summary>The matrix itself; codes of integers may stay in the file.</summary>
    private protected abstract Weight ReadParts(string prefix);

    static Weight Held(Weight weight) => weight switch
    {
        IntWeight integers => integers.Held(),
        PermutedWeight { Stored: IntWeight integers } permuted => new PermutedWeight(integers.Held(), permuted.Order.ToArray()),
        _ => weight,
    };

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

    /// <summary>Finite scales of a known shape.</summary>
    private protected float[] ReadScales(string name, params ReadOnlySpan<long> shape)
    {
        TensorEntry entry = Tensors.Find(name);
        return entry.Shape.AsSpan().SequenceEqual(shape)
            ? ReadScales(entry)
            : throw entry.Error($"is {TensorEntry.Describe(entry.Shape)}, wanted [{string.Join(", ", shape.ToArray())}]");
    }

    /// <summary>Finite scales.</summary>
    private protected static float[] ReadScales(TensorEntry entry)
    {
        float[] scales = new float[entry.Count];
        entry.ReadFloats(0, scales);
        int wrong = HalfConversion.IndexOfNonFinite(scales);
        return wrong < 0 ? scales : throw entry.Error($"holds a scale that is not finite at {wrong:N0}; the model is damaged");
    }

    /// <summary>The order in which inputs lie group by group, from the group of each; null where they do as they come.</summary>
    private protected int[]? ReadOrder(string name, int inputs, int groupSize)
    {
        if (!Tensors.Entries.ContainsKey(name))
            return null;
        TensorEntry entry = Expect(name, DType.I32, inputs);
        int[] groupOf = entry.ToInts();
        // Some writers set it aside and never fill it.
        if (groupOf.AsSpan().IndexOfAnyExcept(-1) < 0)
            return null;
        int[] order = ActOrder.Sort(groupOf, groupSize) ?? throw entry.Error($"does not put {inputs} inputs into groups of {groupSize}");
        return ActOrder.IsIdentity(order) ? null : order;
    }

    /// <summary>The matrix of packed codes whose inputs are in their own order, and whose groups are in <paramref name="order"/>.</summary>
    private protected static Weight Integers(int bits, int groupSize, int rows, int columns, ReadOnlyMemory<uint> words, float[] scales, byte[]? zeros, int[]? order) => order is null
        ? IntWeight.FromWords(bits, groupSize, rows, columns, words, scales, zeros)
        : new PermutedWeight(IntWeight.FromWords(bits, groupSize, rows, columns, ActOrder.Gather(words, bits, rows, order), scales, zeros), order);

    /// <summary>A copy of all values of a part.</summary>
    private protected static T[] Read<T>(TensorEntry entry) where T : unmanaged => MemoryMarshal.Cast<byte, T>(entry.ToBytes()).ToArray();
}
