using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Coppice.Coding;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>
/// Writes weights as vLLM and Transformers read them (compressed-tensors): integers as <c>pack-quantized</c> or <c>int-quantized</c>, 8-bit floating-point numbers as <c>float-quantized</c>, sparse
/// matrices by the legacy <c>sparse-bitmask</c> and <c>sparse-24-bitmask</c>, everything else as plain tensors.
/// </summary>
public static class CompressedTensors
{
    /// <summary>The legacy layout of <see cref="SparseWeight"/>.</summary>
    public const string SparseBitmask = "sparse-bitmask";

    /// <summary>The legacy layout of <see cref="TwoFourWeight"/>.</summary>
    public const string Sparse24Bitmask = "sparse-24-bitmask";

    const string Method = "compressed-tensors";

    /// <summary>The tensors of a model's safetensors, and what its config.json has to say of them: null where nothing is compressed.</summary>
    /// <param name="entries">Named as Hugging Face names them: <c>model.layers.0.mlp.up_proj.weight</c>. A 2:4 integer matrix is written as an integer matrix with zeros.</param>
    /// <param name="dense">For matrices that have no type of their own in the format (float32 and blocks) and for vectors: F32, F16 or BF16.</param>
    /// <param name="bytes">How integers of 8 bits are laid out: <see cref="CompressionFormat.PackQuantized"/>, or <see cref="CompressionFormat.IntQuantized"/> for readers that round inputs to bytes.</param>
    /// <exception cref="CoppiceException">The format has no place for a weight: a row that is no whole number of groups, or both sparse layouts in one model.</exception>
    public static (ImmutableArray<TensorSource> Tensors, CompressionConfig? Config) Encode(IReadOnlyCollection<CheckpointEntry> entries, DType dense, CompressionFormat bytes = CompressionFormat.PackQuantized)
    {
        if (bytes is not (CompressionFormat.PackQuantized or CompressionFormat.IntQuantized))
            throw new ArgumentOutOfRangeException(nameof(bytes), $"CompressedTensors: integers as {bytes.Name()}");
        ImmutableArray<TensorSource>.Builder tensors = ImmutableArray.CreateBuilder<TensorSource>();
        List<(string Module, CompressionGroup Group)> quantized = [];
        List<(string Format, double Sparsity)> sparse = [];
        List<string> plain = [];
        foreach (CheckpointEntry entry in entries)
        {
            Weight? stored = entry.Weight is null ? null : DeferredWeight.Made(entry.Weight);
            if (IntegerMatrix.Find(entry, Method) is { } matrix)
            {
                CompressionFormat format = matrix.Weight.Bits == 8 ? bytes : CompressionFormat.PackQuantized;
                Add(entry, weight => Quantized(IntegerMatrix.Find(new CheckpointEntry(entry.Name, weight), Method)!, format));
                quantized.Add((matrix.Module, new CompressionGroup(matrix.Weight.Bits, matrix.Weight.GroupSize, matrix.Weight.IsSymmetric, []) { Format = format, ActOrder = matrix.Order is not null }));
            }
            else if (entry.Weight is BandedIntWeight banded)
            {
                string module = IntegerMatrix.ModuleOf(entry, Method);
                tensors.AddRange(Banded(module, banded));
                quantized.Add((module, new CompressionGroup(banded.Form.Bits, banded.Form.GroupSize, banded.Form.IsSymmetric, []) { Format = CompressionFormat.PackQuantized }));
            }
            else if (stored is Float8Weight { Format: Float8Format.E4M3, Scales.Length: > 0 } narrow)
            {
                string module = IntegerMatrix.ModuleOf(entry, Method);
                bool perTensor = narrow.Scales.Length == 1;
                Add(entry, weight => Float8(module, (Float8Weight)weight));
                quantized.Add((module, new CompressionGroup(8, IntWeight.WholeRow, true, []) { Format = CompressionFormat.FloatQuantized, IsPerTensor = perTensor }));
            }
            else if (stored is SparseWeight or TwoFourWeight)
            {
                string module = IntegerMatrix.ModuleOf(entry, Method);
                Add(entry, weight => weight is SparseWeight mask ? Bitmasked(module, mask) : TwoFourBitmasked(module, (TwoFourWeight)weight));
                sparse.Add((stored is SparseWeight ? SparseBitmask : Sparse24Bitmask, stored.Sparsity()));
                plain.Add(module);
            }
            else
            {
                tensors.Add(TensorSource.Plain(entry, dense));
                if (entry.Weight is not null && entry.Name.EndsWith(QuantizedCheckpoint.WeightSuffix, StringComparison.Ordinal))
                    plain.Add(IntegerMatrix.ModuleOf(entry, Method));
            }
        }
        if (TiedHead.Of(entries) is { } head)
            plain.Add(head);
        return (tensors.DrainToImmutable(), quantized.Count + sparse.Count == 0 ? null : Config(quantized, sparse, plain));

        void Add(CheckpointEntry entry, Func<Weight, IEnumerable<TensorSource>> parts) => tensors.AddRange(TensorSource.Parts(entry.Weight!, parts));
    }

    static CompressionConfig Config(List<(string Module, CompressionGroup Group)> quantized, List<(string Format, double Sparsity)> sparse, List<string> plain)
    {
        if (sparse.DistinctBy(item => item.Format).Count() > 1)
            throw new CoppiceException($"compressed-tensors: a model has either sparse or 2:4 matrices, found both; store all as sparse-f16");
        List<CompressionGroup> groups = [];
        foreach (var alike in quantized.GroupBy(item => item.Group))
            groups.Add(alike.Key with { Targets = [.. alike.Select(item => item.Module)] });
        // One way for all is said as other programs say it: every linear layer but those that are left out.
        if (groups.Count == 1)
            groups[0] = groups[0] with { Targets = ["Linear"] };
        string? format = sparse.Count == 0 ? null : sparse[0].Format;
        double sparsity = sparse.Count == 0 ? 0 : sparse.Average(item => item.Sparsity);
        return new CompressionConfig([.. groups], groups.Count == 1 ? [.. plain] : [], format, sparsity);
    }

    static IEnumerable<TensorSource> Float8(string module, Float8Weight weight) =>
    [
        TensorSource.Made(module + QuantizedCheckpoint.WeightSuffix, DType.F8_E4M3, [weight.Rows, weight.Columns], () => weight.Bits.ToArray()),
        TensorSource.Raw(module + ".weight_scale", DType.F32, weight.Scales.Length == 1 ? [1] : [weight.Rows, 1], weight.Scales.ToArray()),
    ];

    // weight_scale [out, groups], and: weight_packed [out, ceil(in b / 32)], weight_zero_point packed down the rows [ceil(out b / 32), groups], weight_shape; or signed bytes.
    static IEnumerable<TensorSource> Quantized(IntegerMatrix matrix, CompressionFormat format)
    {
        (string module, IntWeight weight, _) = matrix;
        matrix.CheckGroups(Method);
        int groups = weight.GroupsPerRow;
        yield return weight.HasWideScales
            ? TensorSource.Made(module + ".weight_scale", DType.F32, [weight.Rows, groups], () => weight.WideScales.ToArray())
            : TensorSource.Made(module + ".weight_scale", DType.F16, [weight.Rows, groups], () => weight.Scales.ToArray());
        if (matrix.Order is { } order)
            yield return TensorSource.Raw(module + ".weight_g_idx", DType.I32, [weight.Columns], ActOrder.GroupsOf(order, weight.GroupSize == IntWeight.WholeRow ? Math.Max(weight.Columns, 1) : weight.GroupSize));
        if (format == CompressionFormat.IntQuantized)
        {
            yield return TensorSource.Rows<byte>(module + ".weight", DType.I8, [weight.Rows, weight.Columns], weight.Rows, (first, count, codes) =>
            {
                byte[] row = new byte[weight.Columns];
                for (int i = 0; i < count; i++)
                {
                    weight.UnpackCodes(first + i, row);
                    for (int j = 0; j < row.Length; j++)
                        codes[i * row.Length + (matrix.Order?[j] ?? j)] = (byte)(row[j] ^ 0x80);
                }
            });
            if (!weight.IsSymmetric)
                yield return TensorSource.Raw(module + ".weight_zero_point", DType.I8, [weight.Rows, groups], Array.ConvertAll(weight.Zeros.ToArray(), zero => (byte)(zero ^ 0x80)));
            yield break;
        }
        ReadOnlyMemory<uint> words = matrix.Words;
        int perRow = BitPacking.Words(weight.Columns, weight.Bits);
        yield return TensorSource.Rows<uint>(module + ".weight_packed", DType.I32, [weight.Rows, perRow], weight.Rows, (first, _, band) => FileRun.Copy(words, first * perRow, band));
        yield return TensorSource.Raw(module + ".weight_shape", DType.I64, [2], new[] { (long)weight.Rows, weight.Columns });
        if (!weight.IsSymmetric)
            yield return TensorSource.Made(module + ".weight_zero_point", DType.I32, [BitPacking.Words(weight.Rows, weight.Bits), groups], () => PackDown(weight.Rows, groups, weight.Bits, weight.Zeros));
    }

    // The same, made band after band while it is written. 8 bits are packed as well.
    static IEnumerable<TensorSource> Banded(string module, BandedIntWeight weight)
    {
        int groups = weight.GroupsPerRow, bits = weight.Form.Bits;
        yield return new(module + ".weight_scale", DType.F16, [weight.Rows, groups], stream =>
        {
            foreach (IntWeight band in weight.Bands())
                stream.Write(MemoryMarshal.AsBytes(band.Scales));
        });
        yield return new(module + ".weight_packed", DType.I32, [weight.Rows, BitPacking.Words(weight.Columns, bits)], stream =>
        {
            foreach (IntWeight band in weight.Bands())
                stream.Write(MemoryMarshal.AsBytes(band.Words.Span));
        });
        yield return TensorSource.Raw(module + ".weight_shape", DType.I64, [2], new[] { (long)weight.Rows, weight.Columns });
        if (!weight.Form.IsSymmetric)
            yield return TensorSource.Made(module + ".weight_zero_point", DType.I32, [BitPacking.Words(weight.Rows, bits), groups], () =>
                PackDown(weight.Rows, groups, bits, weight.Bands().SelectMany(band => band.Zeros.ToArray()).ToArray()));
    }

    // Zero points [rows, groups], packed down the rows.
    static uint[] PackDown(int rows, int groups, int bits, ReadOnlySpan<byte> zeros)
    {
        int words = BitPacking.Words(rows, bits);
        byte[] column = new byte[rows];
        uint[] packed = new uint[words], all = new uint[words * groups];
        for (int group = 0; group < groups; group++)
        {
            for (int row = 0; row < rows; row++)
                column[row] = zeros[row * groups + group];
            BitPacking.Pack(column, bits, packed);
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
}
