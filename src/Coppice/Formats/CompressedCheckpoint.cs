using System.Runtime.InteropServices;
using Coppice.Coding;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>A Hugging Face folder whose weights may be compressed (compressed-tensors).</summary>
public sealed class CompressedCheckpoint : QuantizedCheckpoint
{
    const string Packed = ".weight_packed", Mask = ".bitmask";

    internal CompressedCheckpoint(TensorContainer tensors, CompressionConfig? config)
        : base(tensors, FindParts(tensors), "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "shape", "compressed", "bitmask", "row_offsets") => Config = config;

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
                parts[prefix.EndsWith(WeightSuffix, StringComparison.Ordinal) ? prefix : prefix + WeightSuffix] = prefix;
            }
            else if (name.EndsWith(WeightSuffix, StringComparison.Ordinal) && tensors.Find(name).DType == DType.I8)
                parts[name] = name[..^WeightSuffix.Length];
        return parts;
    }

    private protected override (int Rows, int Columns) SizesOf(string prefix)
    {
        TensorEntry shape = Tensors.Find(Has(prefix + Packed) ? prefix + ".weight_shape" : Has(prefix + Mask) ? prefix + ".shape" : prefix + WeightSuffix);
        if (shape.Name == prefix + WeightSuffix)
            return shape.Shape.Length == 2 ? Checked(shape, shape.Shape[0], shape.Shape[1]) : throw shape.Error($"is {TensorEntry.Describe(shape.Shape)}, wanted a matrix");
        return ReadShape(shape);
    }

    private protected override Weight ReadParts(string prefix) => Has(prefix + Packed) ? ReadPacked(prefix) : Has(prefix + Mask) ? ReadSparse(prefix) : ReadBytes(prefix);

    bool Has(string name) => Tensors.Entries.ContainsKey(name);

    IntWeight ReadPacked(string module)
    {
        CompressionGroup group = Group(module);
        (int rows, int columns) = ReadShape(Tensors.Find(module + ".weight_shape"));
        int groups = Groups(module, group, columns);
        TensorEntry packed = Expect(module + Packed, DType.I32, rows, BitPacking.Words(columns, group.Bits));
        byte[]? zeros = group.Symmetric ? null : ReadZeros(module, group.Bits, rows, groups);
        return IntWeight.FromWords(group.Bits, group.GroupSize, rows, columns, Read<uint>(packed), ReadScales(module + ".weight_scale", rows, groups), zeros);
    }

    // int-quantized: signed bytes as they are, symmetric.
    IntWeight ReadBytes(string module)
    {
        CompressionGroup group = Group(module);
        TensorEntry weight = Tensors.Find(module + WeightSuffix);
        if (weight.Shape.Length != 2 || group.Bits != 8 || !group.Symmetric || weight.ByteCount > Array.MaxLength)
            throw weight.Error($"is I8 {TensorEntry.Describe(weight.Shape)} in a group of {group}, wanted a symmetric matrix of 8 bits");
        (int rows, int columns) = ((int)weight.Shape[0], (int)weight.Shape[1]);
        byte[] codes = weight.ToBytes();
        foreach (ref byte code in codes.AsSpan())
            code ^= 0x80;
        return new IntWeight(8, group.GroupSize, rows, columns, codes, ReadScales(module + ".weight_scale", rows, Groups(module, group, columns)), []);
    }

    Weight ReadSparse(string prefix)
    {
        (int rows, int columns) = ReadShape(Tensors.Find(prefix + ".shape"));
        byte[] mask = Read<byte>(Expect(prefix + Mask, DType.U8, rows, Bitmask.BytesPerRow(columns)));
        TensorEntry compressed = Tensors.Find(prefix + ".compressed");
        if (compressed.DType != DType.F16)
            throw compressed.Error($"is {compressed.DType}, wanted F16");
        Half[] kept = Read<Half>(compressed);
        int wrong = HalfConversion.IndexOfNonFinite(HalfFormat.Float16, MemoryMarshal.Cast<Half, ushort>(kept));
        if (wrong >= 0)
            throw compressed.Error($"holds a number that is not finite at {wrong:N0}; the model is damaged");
        try
        {
            return compressed.Shape.Length == 2 ? new TwoFourWeight(rows, columns, mask, kept) : new SparseWeight(rows, columns, mask, kept);
        }
        catch (ArgumentException error)
        {
            throw FormatError.At(Path, $"tensor '{prefix}': {error.Message}", error);
        }
    }

    byte[] ReadZeros(string module, int bits, int rows, int groups)
    {
        int words = BitPacking.Words(rows, bits);
        uint[] all = Read<uint>(Expect(module + ".weight_zero_point", DType.I32, words, groups)), packed = new uint[words];
        byte[] zeros = new byte[rows * groups], column = new byte[rows];
        for (int group = 0; group < groups; group++)
        {
            for (int word = 0; word < words; word++)
                packed[word] = all[word * groups + group];
            BitPacking.Unpack(packed, bits, column);
            for (int row = 0; row < rows; row++)
                zeros[row * groups + group] = column[row];
        }
        return zeros;
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
