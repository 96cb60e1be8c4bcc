using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Coppice.Coding;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>
/// Writes weights as vLLM and Transformers read them (compressed-tensors): integers as <c>pack-quantized</c>, sparse matrices by the legacy
/// <c>sparse-bitmask</c> and <c>sparse-24-bitmask</c>, everything else as plain tensors.
/// </summary>
public static class CompressedTensors
{
    /// <summary>The legacy layout of <see cref="SparseWeight"/>.</summary>
    public const string SparseBitmask = "sparse-bitmask";

    /// <summary>The legacy layout of <see cref="TwoFourWeight"/>.</summary>
    public const string Sparse24Bitmask = "sparse-24-bitmask";

    /// <summary>The tensors of a model's safetensors, and what its config.json has to say of them: null where nothing is compressed.</summary>
    /// <param name="entries">Named as Hugging Face names them: <c>model.layers.0.mlp.up_proj.weight</c>. A 2:4 integer matrix is written as an integer matrix with zeros.</param>
    /// <param name="dense">For matrices that have no type of their own in the format (float32 and blocks) and for vectors: F32, F16 or BF16.</param>
    /// <exception cref="CoppiceException">The format has no place for a weight: a row that is no whole number of groups, or both sparse layouts in one model.</exception>
    public static (ImmutableArray<TensorSource> Tensors, CompressionConfig? Config) Encode(IReadOnlyCollection<CheckpointEntry> entries, DType dense)
    {
        ImmutableArray<TensorSource>.Builder tensors = ImmutableArray.CreateBuilder<TensorSource>();
        List<(string Module, IntWeight Weight)> quantized = [];
        List<Weight> sparse = [];
        List<string> plain = [];
        foreach (CheckpointEntry entry in entries)
        {
            Weight? weight = entry.Weight is TwoFourIntWeight twoFour ? twoFour.ToInt() : entry.Weight;
            if (weight is IntWeight or SparseWeight or TwoFourWeight)
            {
                string module = Module(entry);
                if (weight is IntWeight ints)
                {
                    tensors.AddRange(PackQuantized(module, ints));
                    quantized.Add((module, ints));
                }
                else
                {
                    tensors.AddRange(weight is SparseWeight mask ? Bitmasked(module, mask) : TwoFourBitmasked(module, (TwoFourWeight)weight));
                    sparse.Add(weight);
                    plain.Add(module);
                }
                continue;
            }
            tensors.Add(TensorSource.Plain(entry, dense));
            if (weight is not null && entry.Name.EndsWith(QuantizedCheckpoint.WeightSuffix, StringComparison.Ordinal))
                plain.Add(Module(entry));
        }
        return (tensors.DrainToImmutable(), quantized.Count + sparse.Count == 0 ? null : Config(quantized, sparse, plain));
    }

    static CompressionConfig Config(List<(string Module, IntWeight Weight)> quantized, List<Weight> sparse, List<string> plain)
    {
        if (sparse.OfType<SparseWeight>().Any() && sparse.OfType<TwoFourWeight>().Any())
            throw new CoppiceException("compressed-tensors: a model has either sparse or 2:4 matrices, found both; store all as sparse-f16");
        List<CompressionGroup> groups = [];
        foreach (var alike in quantized.GroupBy(item => (item.Weight.Bits, item.Weight.GroupSize, item.Weight.IsSymmetric)))
            groups.Add(new CompressionGroup(alike.Key.Bits, alike.Key.GroupSize, alike.Key.IsSymmetric, [.. alike.Select(item => item.Module)]));
        // One way for all is said as other programs say it: every linear layer but those that are left out.
        if (groups.Count == 1)
            groups[0] = groups[0] with { Targets = ["Linear"] };
        string? format = sparse.Count == 0 ? null : sparse[0] is SparseWeight ? SparseBitmask : Sparse24Bitmask;
        double sparsity = sparse.Count == 0 ? 0 : sparse.Average(weight => weight.Sparsity());
        return new CompressionConfig([.. groups], groups.Count == 1 ? [.. plain] : [], format, sparsity);
    }

    // weight_packed [out, ceil(in b / 32)], weight_scale [out, groups], weight_zero_point packed down the rows [ceil(out b / 32), groups], weight_shape.
    static IEnumerable<TensorSource> PackQuantized(string module, IntWeight weight)
    {
        if (weight.GroupSize != IntWeight.WholeRow && weight.Columns % weight.GroupSize != 0)
            throw new CoppiceException($"compressed-tensors: '{module}' has rows of {weight.Columns} numbers, wanted a multiple of the group size {weight.GroupSize}");
        int groups = weight.GroupsPerRow;
        yield return TensorSource.Raw(module + ".weight_packed", DType.I32, [weight.Rows, BitPacking.Words(weight.Columns, weight.Bits)], weight.Words);
        yield return TensorSource.Raw(module + ".weight_scale", DType.F16, [weight.Rows, groups], weight.Scales.ToArray());
        yield return TensorSource.Raw(module + ".weight_shape", DType.I64, [2], new[] { (long)weight.Rows, weight.Columns });
        if (!weight.IsSymmetric)
            yield return TensorSource.Raw(module + ".weight_zero_point", DType.I32, [BitPacking.Words(weight.Rows, weight.Bits), groups], PackDown(weight));
    }

    static uint[] PackDown(IntWeight weight)
    {
        int groups = weight.GroupsPerRow, words = BitPacking.Words(weight.Rows, weight.Bits);
        byte[] column = new byte[weight.Rows];
        uint[] packed = new uint[words], all = new uint[words * groups];
        for (int group = 0; group < groups; group++)
        {
            for (int row = 0; row < weight.Rows; row++)
                column[row] = weight.Zeros[row * groups + group];
            BitPacking.Pack(column, weight.Bits, packed);
            for (int word = 0; word < words; word++)
                all[word * groups + group] = packed[word];
        }
        return all;
    }

    static IEnumerable<TensorSource> Bitmasked(string module, SparseWeight weight)
    {
        string name = module + QuantizedCheckpoint.WeightSuffix;
        yield return TensorSource.Raw(name + ".shape", DType.I64, [2], new[] { (long)weight.Rows, weight.Columns });
        yield return TensorSource.Raw(name + ".compressed", DType.F16, [weight.Kept.Length], weight.Kept.ToArray());
        yield return TensorSource.Raw(name + ".bitmask", DType.U8, [weight.Rows, Bitmask.BytesPerRow(weight.Columns)], weight.Mask.ToArray());
        yield return TensorSource.Raw(name + ".row_offsets", DType.I64, [weight.Rows], weight.RowStarts[..^1].ToArray().Select(start => (long)start).ToArray());
    }

    static IEnumerable<TensorSource> TwoFourBitmasked(string module, TwoFourWeight weight)
    {
        yield return TensorSource.Raw(module + ".shape", DType.I64, [2, 1], new[] { (long)weight.Rows, weight.Columns });
        yield return TensorSource.Raw(module + ".compressed", DType.F16, [weight.Rows, weight.Columns / 2], weight.Kept.ToArray());
        yield return TensorSource.Raw(module + ".bitmask", DType.U8, [weight.Rows, Bitmask.BytesPerRow(weight.Columns)], weight.Mask.ToArray());
    }

    static string Module(CheckpointEntry entry) => entry.Name.EndsWith(QuantizedCheckpoint.WeightSuffix, StringComparison.Ordinal)
        ? entry.Name[..^QuantizedCheckpoint.WeightSuffix.Length]
        : throw new CoppiceException($"compressed-tensors: a {entry.Weight!.Kind} matrix is named '{entry.Name}', wanted a name that ends in {QuantizedCheckpoint.WeightSuffix}");
}
