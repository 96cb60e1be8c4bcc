using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Formats;

/// <summary>A folder of Coppice's own, for grids that no other program has: each packed matrix in its <see cref="WeightParts"/>, everything else as plain tensors.</summary>
static class OwnLayout
{
    /// <summary>Its <c>quant_method</c>.</summary>
    public const string Method = "coppice";

    /// <summary>What config.json says of it: there is nothing to set.</summary>
    public static JsonObject Config => new() { ["quant_method"] = Method };

    /// <summary>The tensors of a model's safetensors.</summary>
    /// <param name="entries">Named as Hugging Face names them.</param>
    /// <param name="dense">For matrices in GGUF's blocks, for float32 and for vectors: F32, F16 or BF16.</param>
    /// <exception cref="CoppiceException">A matrix has no parts, as one whose inputs are stored in another order.</exception>
    public static ImmutableArray<TensorSource> Encode(IReadOnlyCollection<CheckpointEntry> entries, DType dense) =>
    [
        .. entries.SelectMany(entry => entry.Weight is { } weight && HasParts(DeferredWeight.Made(weight)) ? TensorSource.Parts(weight, made => WeightParts.Of(entry.Name, made)) : [TensorSource.Plain(entry, dense)]),
    ];

    static bool HasParts(Weight made) => made is not (HalfWeight or BlockWeight or DenseWeight or StoredWeight or SpreadWeight or Float8Weight { Scales.Length: 0 });
}

/// <summary>A folder in <see cref="OwnLayout"/>.</summary>
sealed class OwnCheckpoint(TensorContainer tensors) : QuantizedCheckpoint(tensors, FindParts(tensors), [.. WeightParts.Sized.SelectMany(kind => kind.Parts.Append(WeightParts.Sizes).Select(part => $"{kind.Kind}.{part}"))])
{
    static Dictionary<string, string> FindParts(TensorContainer tensors)
    {
        Dictionary<string, string> parts = new(StringComparer.Ordinal);
        foreach (string name in tensors.Names)
            foreach ((string kind, _) in WeightParts.Sized)
                if (name.EndsWith($".{kind}.{WeightParts.Sizes}", StringComparison.Ordinal) && name[..^(kind.Length + WeightParts.Sizes.Length + 2)] is var matrix && !IsPart(matrix))
                    parts[matrix] = matrix;
        return parts;

        // Coefficients have sizes of their own.
        bool IsPart(string matrix) => matrix.EndsWith(".haar", StringComparison.Ordinal) && tensors.Names.Contains($"{matrix}.{WeightParts.Sizes}");
    }

    private protected override (int Rows, int Columns) SizesOf(string prefix)
    {
        string kind = WeightParts.Sized.First(sized => Tensors.Entries.ContainsKey($"{prefix}.{sized.Kind}.{WeightParts.Sizes}")).Kind;
        TensorEntry entry = Tensors.Find($"{prefix}.{kind}.{WeightParts.Sizes}");
        return entry is { DType: DType.I32, Count: >= 2 and <= 4 } && WeightParts.SizesFrom(kind, entry.ToInts()) is ( > 0, > 0) sizes
            ? Checked(entry, sizes.Rows, sizes.Columns)
            : throw entry.Error($"is {entry.DType} {TensorEntry.Describe(entry.Shape)}, wanted 2 to 4 numbers of I32, the last two the sizes of a matrix");
    }

    private protected override Weight ReadParts(string prefix)
    {
        (int rows, int columns) = SizesOf(prefix);
        Weight weight = WeightParts.Read(Tensors, prefix, rows, columns) ?? throw FormatError.At(Tensors.Path, $"tensor '{prefix}' has sizes and no numbers");
        return weight.Rows == rows && weight.Columns == columns ? weight : throw FormatError.At(Tensors.Path, $"tensor '{prefix}' is {weight.Shape}, wanted [{rows}, {columns}]");
    }
}
