using System.Runtime.InteropServices;
using Coppice.Coding;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>A model compressed by compressed-tensors: quantized layers, sparse ones, and those that are both.</summary>
public sealed class CompressedCheckpoint : QuantizedCheckpoint
{
    const string Packed = ".weight_packed", Mask = ".bitmask", Scale = ".weight_scale";

    internal CompressedCheckpoint(TensorContainer tensors, CompressionConfig? config)
        : base(tensors, FindParts(tensors), "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx", "shape", "compressed", "bitmask", "row_offsets",
            "input_scale", "input_zero_point", "output_scale", "output_zero_point") => Config = config;

    /// <summary>What config.json says of the compression, or null.</summary>
    public CompressionConfig? Config { get; }

    /// <summary>Opens a folder with safetensors and, where it is compressed, a config.json that says how.</summary>
    /// <exception cref="CoppiceException">A file is unreadable, or the model is compressed in a way that is not read.</exception>
    public static CompressedCheckpoint Open(string folder)
    {
        using Checkpoint.QuantizationJson? quantization = Checkpoint.QuantizationJson.Find(folder);
        return new CompressedCheckpoint(SafeTensors.Open(folder), quantization is null ? null : CompressionConfig.Parse(quantization.Path, quantization.Element));
    }

    static Dictionary<string, string> FindParts(TensorContainer tensors)
    {
        Dictionary<string, string> parts = new(StringComparer.Ordinal);
        foreach (string name in tensors.Names)
            if (name.EndsWith(Packed, StringComparison.Ordinal))
                parts[name[..^Packed.Length] + WeightSuffix] = name[..^Packed.Length];
            else if (name.EndsWith(Mask, StringComparison.Ordinal))
            {
                // Readers and writers of the sparse layouts disagree on whether parts are named after the layer or after its weight.
                string prefix = name[..^Mask.Length];
                parts[Module(prefix) + WeightSuffix] = prefix;
            }
            else if (name.EndsWith(WeightSuffix, StringComparison.Ordinal) && tensors.Find(name).DType is DType.I8 or DType.F8_E4M3 && tensors.Entries.ContainsKey(Module(name) + Scale))
                parts[name] = Module(name);
        return parts;
    }

    private protected override (int Rows, int Columns) SizesOf(string prefix)
    {
        if (Has(prefix + Packed))
            return ReadShape(Tensors.Find(prefix + ".weight_shape"));
        if (Has(prefix + Mask))
            return ReadShape(Tensors.Find(prefix + ".shape"));
        TensorEntry weight = Tensors.Find(prefix + WeightSuffix);
        return weight.Shape.Length == 2 ? Checked(weight, weight.Shape[0], weight.Shape[1]) : throw weight.Error($"is {TensorEntry.Describe(weight.Shape)}, wanted a matrix");
    }

    private protected override Weight ReadParts(string prefix)
    {
        (int rows, int columns) = SizesOf(prefix);
        if (Has(prefix + Packed))
            return ReadPacked(prefix, rows, columns);
        if (Has(prefix + Mask))
            return ReadSparse(prefix, rows, columns);
        TensorEntry weight = Tensors.Find(prefix + WeightSuffix);
        return weight.DType == DType.I8 ? FromBytes(prefix, weight, rows, columns, weight.Defer<byte>(rows, columns)) : weight.ReadFloat8(RowScales(prefix, rows));
    }

    bool Has(string name) => Tensors.Entries.ContainsKey(name);

    Weight ReadPacked(string module, int rows, int columns)
    {
        CompressionGroup group = Group(module);
        int groups = Groups(module, group, columns);
        TensorEntry packed = ExpectWords(module + Packed);
        if (packed.Shape[0] != rows || CompressedLayout.IsDense(packed.Shape[1], columns, group.Bits, Config!.DenseStreams) is not { } dense)
            throw packed.Error($"is {TensorEntry.Describe(packed.Shape)}, wanted [{rows}, {BitPacking.Words(columns, group.Bits)}] for int{group.Bits} [{rows}, {columns}]");
        ReadOnlyMemory<uint> words = packed.Defer<uint>(rows, (int)packed.Shape[1]);
        return Integers(module, group, rows, columns, groups, dense ? words : CompressedLayout.ToStreams(words, group.Bits, rows, columns));
    }

    // Signed bytes as they are, which the middle code is added to.
    Weight FromBytes(string module, TensorEntry weight, int rows, int columns, ReadOnlyMemory<byte> stored)
    {
        CompressionGroup group = Group(module);
        int middle = 1 << group.Bits - 1, perRow = BitPacking.Words(columns, group.Bits);
        return Integers(module, group, rows, columns, Groups(module, group, columns), new DeferredMemory<uint>(rows, perRow, (firstRow, words) =>
        {
            byte[] codes = new byte[columns];
            for (; words.Length > 0; firstRow++, words = words[perRow..])
            {
                FileRun.Copy(stored, firstRow * columns, codes);
                for (int i = 0; i < codes.Length; i++)
                {
                    int code = (sbyte)codes[i] + middle;
                    codes[i] = (uint)code < 2u * (uint)middle ? (byte)code : throw weight.Error($"holds {(sbyte)codes[i]} at {(long)firstRow * columns + i:N0}, which has no {group.Bits} bits");
                }
                BitPacking.Pack(codes, group.Bits, words[..perRow]);
            }
        }).Memory);
    }

    Weight Integers(string module, CompressionGroup group, int rows, int columns, int groups, ReadOnlyMemory<uint> words)
    {
        byte[]? zeros = group.Symmetric ? null : ReadZeros(module, group, rows, groups);
        int[]? order = group.GroupSize == IntWeight.WholeRow ? null : ReadOrder(module + ".weight_g_idx", columns, group.GroupSize);
        return Integers(group.Bits, group.GroupSize, rows, columns, words, GroupScales(module, rows, groups), zeros, order);
    }

    // What is sparse may be quantized as well: then its numbers are bytes.
    Weight ReadSparse(string prefix, int rows, int columns)
    {
        byte[] mask = Read<byte>(Expect(prefix + Mask, DType.U8, rows, Bitmask.BytesPerRow(columns)));
        TensorEntry kept = Tensors.Find(prefix + ".compressed");
        try
        {
            switch (kept.DType)
            {
                case DType.F16:
                    Half[] halves = Read<Half>(kept);
                    CheckFinite(HalfFormat.Float16, MemoryMarshal.Cast<Half, ushort>(halves));
                    return kept.Shape.Length == 2 ? new TwoFourWeight(rows, columns, mask, halves) : new SparseWeight(rows, columns, mask, halves);
                case DType.BF16:
                    ushort[] bits = Bitmask.Expand(mask, Read<ushort>(kept), rows, columns);
                    CheckFinite(HalfFormat.BFloat16, bits);
                    return new HalfWeight(HalfFormat.BFloat16, rows, columns, bits);
                case DType.F32:
                    float[] numbers = Bitmask.Expand(mask, Read<float>(kept), rows, columns);
                    int wrong = HalfConversion.IndexOfNonFinite(numbers);
                    return wrong < 0 ? new DenseWeight(Tensor.From([rows, columns], numbers)) : throw NotFinite(wrong);
                case DType.F8_E4M3:
                    byte[] narrow = Bitmask.Expand(mask, Read<byte>(kept), rows, columns);
                    wrong = Float8.IndexOfNonFinite(Float8Format.E4M3, narrow);
                    return wrong < 0 ? new Float8Weight(Float8Format.E4M3, rows, columns, narrow, Has(Module(prefix) + Scale) ? RowScales(Module(prefix), rows) : []) : throw NotFinite(wrong);
                case DType.I8:
                    return FromBytes(Module(prefix), kept, rows, columns, Bitmask.Expand(mask, Read<byte>(kept), rows, columns));
                default:
                    throw kept.Error($"is {kept.DType}, wanted F16, BF16, F32, F8_E4M3 or I8");
            }
        }
        catch (ArgumentException error)
        {
            throw FormatError.At(Path, $"tensor '{prefix}': {error.Message}", error);
        }

        void CheckFinite(HalfFormat format, ReadOnlySpan<ushort> bits)
        {
            int wrong = HalfConversion.IndexOfNonFinite(format, bits);
            if (wrong >= 0)
                throw NotFinite(wrong);
        }

        CoppiceException NotFinite(int index) => kept.Error($"holds a number that is not finite at {index:N0}; the model is damaged");
    }

    // Packed down the rows as codes are along them; a zero point for the whole matrix, or of a layer in bytes, is a signed byte.
    byte[] ReadZeros(string module, CompressionGroup group, int rows, int groups)
    {
        TensorEntry entry = Tensors.Find(module + ".weight_zero_point");
        byte[] zeros = new byte[rows * groups], column = new byte[rows];
        if (entry.DType != DType.I32)
        {
            int[] signed = entry.ToInts();
            if (signed.Length != zeros.Length && signed.Length != 1)
                throw entry.Error($"holds {signed.Length:N0} zero points, wanted [{rows}, {groups}]");
            int middle = 1 << group.Bits - 1;
            for (int i = 0; i < zeros.Length; i++)
            {
                long zero = (long)signed[signed.Length == 1 ? 0 : i] + middle;
                zeros[i] = zero >= 0 && zero < 2 * middle ? (byte)zero : throw entry.Error($"holds the zero point {zero - middle}, which has no {group.Bits} bits");
            }
            return zeros;
        }
        if (entry.Shape.Length != 2 || entry.Shape[1] != groups || CompressedLayout.IsDense(entry.Shape[0], rows, group.Bits, Config!.DenseStreams) is not { } dense)
            throw entry.Error($"is {TensorEntry.Describe(entry.Shape)}, wanted [{BitPacking.Words(rows, group.Bits)}, {groups}]");
        int words = (int)entry.Shape[0];
        uint[] all = Read<uint>(entry), packed = new uint[words];
        for (int g = 0; g < groups; g++)
        {
            for (int word = 0; word < words; word++)
                packed[word] = all[word * groups + g];
            if (dense)
                BitPacking.Unpack(packed, group.Bits, column);
            else
                CompressedLayout.UnpackWhole(packed, group.Bits, column);
            for (int row = 0; row < rows; row++)
                zeros[row * groups + g] = column[row];
        }
        return zeros;
    }

    // One scale may stand for the whole matrix.
    float[] GroupScales(string module, int rows, int groups)
    {
        TensorEntry entry = Tensors.Find(module + Scale);
        if (groups == 1 && entry.Count == 1 && rows != 1)
            return [.. Enumerable.Repeat(ReadScales(entry)[0], rows)];
        return groups == 1 && entry.Shape.SequenceEqual([rows]) ? ReadScales(entry) : ReadScales(entry.Name, rows, groups);
    }

    float[] RowScales(string module, int rows)
    {
        TensorEntry entry = Tensors.Find(module + Scale);
        return entry.Count == 1 || entry.Shape.SequenceEqual([rows]) || entry.Shape.SequenceEqual([rows, 1])
            ? ReadScales(entry)
            : throw entry.Error($"is {TensorEntry.Describe(entry.Shape)}, wanted [{rows}, 1] or one scale");
    }

    CompressionGroup Group(string module) => Config is null
        ? throw FormatError.At(Path, $"tensor '{module}' is quantized but {Checkpoint.ConfigName} has no {CompressionConfig.Key}")
        : Config.Groups.FirstOrDefault(group => group.Covers(module)) ?? throw FormatError.At(Path, $"tensor '{module}' is quantized but no group in {Checkpoint.ConfigName} covers it");

    int Groups(string module, CompressionGroup group, int columns) => group.GroupSize == IntWeight.WholeRow ? 1
        : columns % group.GroupSize == 0 ? columns / group.GroupSize
        : throw FormatError.At(Path, $"tensor '{module}' has rows of {columns} numbers, wanted a multiple of the group size {group.GroupSize}");

    static (int Rows, int Columns) ReadShape(TensorEntry entry)
    {
        if (entry.Count != 2)
            throw entry.Error($"holds {entry.Count} numbers, wanted 2");
        int[] shape = entry.ToInts();
        return Checked(entry, shape[0], shape[1]);
    }
}
