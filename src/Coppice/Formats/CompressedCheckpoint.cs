using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;
using Coppice.Coding;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>A Hugging Face folder whose weights may be compressed (compressed-tensors): the parts of each are read back into one <see cref="Weight"/>.</summary>
public sealed class CompressedCheckpoint : ICheckpoint
{
    /// <summary>The model's description.</summary>
    public const string ConfigName = "config.json";

    const string Packed = ".weight_packed", Mask = ".bitmask";

    readonly SafeTensors tensors;

    // The name of each matrix that has parts, and what their names start with.
    readonly Dictionary<string, string> parts = new(StringComparer.Ordinal);
    readonly SortedSet<string> names = new(StringComparer.Ordinal);

    CompressedCheckpoint(SafeTensors tensors, CompressionConfig? config)
    {
        this.tensors = tensors;
        Config = config;
        foreach (string name in tensors.Names)
            if (name.EndsWith(Packed, StringComparison.Ordinal))
                parts[name[..^Packed.Length] + CompressedTensors.WeightSuffix] = name[..^Packed.Length];
            else if (name.EndsWith(Mask, StringComparison.Ordinal))
            {
                // Readers and writers of the sparse layouts disagree on whether parts are named after the layer or after its weight.
                string prefix = name[..^Mask.Length];
                parts[prefix.EndsWith(CompressedTensors.WeightSuffix, StringComparison.Ordinal) ? prefix : prefix + CompressedTensors.WeightSuffix] = prefix;
            }
            else if (name.EndsWith(CompressedTensors.WeightSuffix, StringComparison.Ordinal) && tensors.Find(name).DType == DType.I8)
                parts[name] = name[..^CompressedTensors.WeightSuffix.Length];
        HashSet<string> hidden = new(StringComparer.Ordinal);
        foreach (string prefix in parts.Values)
            foreach (string suffix in (ReadOnlySpan<string>)["weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "shape", "compressed", "bitmask", "row_offsets"])
                hidden.Add($"{prefix}.{suffix}");
        names.UnionWith(tensors.Names.Where(name => !hidden.Contains(name)));
        names.UnionWith(parts.Keys);
    }

    /// <inheritdoc/>
    public string Path => tensors.Path;

    /// <summary>What config.json says of the compression, or null.</summary>
    public CompressionConfig? Config { get; }

    /// <inheritdoc/>
    public IReadOnlyCollection<string> Names => names;

    /// <summary>Opens a folder with safetensors and, where it is compressed, a config.json that says how.</summary>
    /// <exception cref="CoppiceException">A file is unreadable, or the model is compressed in a way that is not read.</exception>
    public static CompressedCheckpoint Open(string folder)
    {
        string configPath = System.IO.Path.Combine(folder, ConfigName);
        CompressionConfig? config = null;
        if (File.Exists(configPath))
            using (JsonDocument json = JsonFile.Read(configPath))
                if (json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty(CompressionConfig.Key, out JsonElement found))
                    config = CompressionConfig.Parse(configPath, found);
        return new CompressedCheckpoint(SafeTensors.Open(folder), config);
    }

    /// <inheritdoc/>
    public ImmutableArray<long> ShapeOf(string name)
    {
        if (!parts.TryGetValue(name, out string? prefix) || tensors.Names.Contains(name))
            return tensors.ShapeOf(name);
        (int rows, int columns) = ReadShape(tensors.Names.Contains(prefix + Packed) ? prefix + ".weight_shape" : prefix + ".shape");
        return [rows, columns];
    }

    /// <inheritdoc/>
    public Weight ReadWeight(string name)
    {
        if (!parts.TryGetValue(name, out string? prefix))
            return tensors.ReadWeight(name);
        if (tensors.Names.Contains(prefix + Packed))
            return ReadPacked(prefix);
        return tensors.Names.Contains(name) ? ReadBytes(prefix) : ReadSparse(prefix);
    }

    /// <inheritdoc/>
    public Weight OpenWeight(string name) => parts.ContainsKey(name) ? ReadWeight(name) : tensors.OpenWeight(name);

    /// <inheritdoc/>
    public Tensor ReadTensor(string name)
    {
        if (!parts.ContainsKey(name))
            return tensors.ReadTensor(name);
        Weight weight = ReadWeight(name);
        Tensor dense = new(weight.Shape);
        weight.Unpack(0, dense.Data);
        return dense;
    }

    /// <inheritdoc/>
    public void Dispose() => tensors.Dispose();

    IntWeight ReadPacked(string module)
    {
        CompressionGroup group = Group(module);
        (int rows, int columns) = ReadShape(module + ".weight_shape");
        int groups = Groups(module, group, columns);
        TensorEntry packed = Expect(module + Packed, DType.I32, [rows, BitPacking.Words(columns, group.Bits)]);
        byte[]? zeros = group.Symmetric ? null : ReadZeros(module, group.Bits, rows, groups);
        return IntWeight.FromWords(group.Bits, group.GroupSize, rows, columns, Read<uint>(packed), ReadScales(module, rows, groups), zeros);
    }

    // int-quantized: signed bytes as they are, symmetric.
    IntWeight ReadBytes(string module)
    {
        CompressionGroup group = Group(module);
        TensorEntry weight = tensors.Find(module + CompressedTensors.WeightSuffix);
        if (weight.Shape.Length != 2 || group.Bits != 8 || !group.Symmetric || weight.ByteCount > Array.MaxLength)
            throw weight.Error($"is I8 {TensorEntry.Describe(weight.Shape)} in a group of {group}, wanted a symmetric matrix of 8 bits");
        (int rows, int columns) = ((int)weight.Shape[0], (int)weight.Shape[1]);
        byte[] codes = weight.ToBytes();
        foreach (ref byte code in codes.AsSpan())
            code ^= 0x80;
        return new IntWeight(8, group.GroupSize, rows, columns, codes, ReadScales(module, rows, Groups(module, group, columns)), []);
    }

    Weight ReadSparse(string prefix)
    {
        (int rows, int columns) = ReadShape(prefix + ".shape");
        byte[] mask = Read<byte>(Expect(prefix + Mask, DType.U8, [rows, Bitmask.BytesPerRow(columns)]));
        TensorEntry compressed = tensors.Find(prefix + ".compressed");
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
        uint[] all = Read<uint>(Expect(module + ".weight_zero_point", DType.I32, [words, groups])), packed = new uint[words];
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

    Half[] ReadScales(string module, int rows, int groups)
    {
        TensorEntry entry = tensors.Find(module + ".weight_scale");
        if (!entry.Shape.SequenceEqual([rows, groups]))
            throw entry.Error($"is {TensorEntry.Describe(entry.Shape)}, wanted [{rows}, {groups}]");
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

    CompressionGroup Group(string module) => Config is null
        ? throw FormatError.At(Path, $"tensor '{module}' is quantized but {ConfigName} has no {CompressionConfig.Key}")
        : Config.Groups.FirstOrDefault(group => group.Covers(module)) ?? throw FormatError.At(Path, $"tensor '{module}' is quantized but no group in {ConfigName} covers it");

    int Groups(string module, CompressionGroup group, int columns) => group.GroupSize == IntWeight.WholeRow ? 1
        : columns % group.GroupSize == 0 ? columns / group.GroupSize
        : throw FormatError.At(Path, $"tensor '{module}' has rows of {columns} numbers, wanted a multiple of the group size {group.GroupSize}");

    (int Rows, int Columns) ReadShape(string name)
    {
        TensorEntry entry = tensors.Find(name);
        if (entry.Count != 2)
            throw entry.Error($"holds {entry.Count} numbers, wanted 2");
        int[] shape = entry.ToInts();
        return shape[0] >= 0 && shape[1] >= 0 && (long)shape[0] * shape[1] <= Array.MaxLength && Math.Max(shape[0], shape[1]) <= Array.MaxLength / 8
            ? (shape[0], shape[1])
            : throw entry.Error($"says [{shape[0]}, {shape[1]}], wanted a matrix of at most {Array.MaxLength:N0} numbers");
    }

    TensorEntry Expect(string name, DType type, ReadOnlySpan<long> shape)
    {
        TensorEntry entry = tensors.Find(name);
        return entry.DType == type && entry.Shape.AsSpan().SequenceEqual(shape)
            ? entry
            : throw entry.Error($"is {entry.DType} {TensorEntry.Describe(entry.Shape)}, wanted {type} [{string.Join(", ", shape.ToArray())}]");
    }

    static T[] Read<T>(TensorEntry entry) where T : unmanaged => MemoryMarshal.Cast<byte, T>(entry.ToBytes()).ToArray();
}
