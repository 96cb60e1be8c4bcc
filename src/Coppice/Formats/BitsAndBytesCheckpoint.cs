using System.Text.Json;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>A folder whose linear layers are stored by <see cref="BitsAndBytes"/>.</summary>
sealed class BitsAndBytesCheckpoint(TensorContainer tensors)
    : QuantizedCheckpoint(tensors, FindParts(tensors), "absmax", "quant_map", "nested_absmax", "nested_quant_map", "quant_state.bitsandbytes__nf4", "quant_state.bitsandbytes__fp4")
{
    // Settings are a line of JSON.
    const int MostStateBytes = 1 << 16;

    /// <summary>Throws where the model is in 8 bits.</summary>
    public static BitsAndBytesCheckpoint Open(TensorContainer tensors, string path, JsonElement config) => new JsonFields(path, config).Flag("load_in_8bit", false)
        ? throw FormatError.At(path, $"{CompressionConfig.Key}: {BitsAndBytes.Method} in 8 bits is not read, wanted load_in_4bit")
        : new BitsAndBytesCheckpoint(tensors);

    static Dictionary<string, string> FindParts(TensorContainer tensors)
    {
        Dictionary<string, string> parts = new(StringComparer.Ordinal);
        foreach (string name in tensors.Names)
            if (name.LastIndexOf(BitsAndBytes.State, StringComparison.Ordinal) is > 0 and int at)
                parts[name[..at]] = name[..at];
        return parts;
    }

    private protected override (int Rows, int Columns) SizesOf(string prefix) => StateOf(prefix) is var state ? (state.Rows, state.Columns) : default;

    private protected override Weight ReadParts(string prefix)
    {
        State state = StateOf(prefix);
        TensorEntry packed = Tensors.Find(prefix);
        int count = state.Rows * state.Columns, blocks = (int)(((long)count + state.BlockSize - 1) / state.BlockSize);
        if (packed.DType != DType.U8 || packed.ByteCount != (count + 1L) / 2)
            throw packed.Error($"is {packed.DType} of {packed.ByteCount:N0} bytes, wanted U8 and {(count + 1L) / 2:N0} for [{state.Rows}, {state.Columns}]");
        byte[] pairs = packed.ToBytes(), codes = new byte[count];
        for (int i = 0; i < count; i++)
            codes[i] = (byte)(i % 2 == 0 ? pairs[i / 2] >> 4 : pairs[i / 2] & 15);
        // Blocks run on from row to row: groups are what divides both.
        int group = state.Columns == 0 ? 1 : (int)System.Numerics.BigInteger.GreatestCommonDivisor(state.BlockSize, state.Columns);
        float[] absmax = Scales(prefix, blocks, state), scales = new float[count / group];
        for (int i = 0; i < scales.Length; i++)
            scales[i] = absmax[(long)i * group / state.BlockSize];
        LevelTable table = LevelTables.Known(ReadScales(prefix + ".quant_map", 16));
        ScaleType type = Array.TrueForAll(scales, scale => LevelWeight.Holds(ScaleType.Float16, scale)) ? ScaleType.Float16 : ScaleType.Float32;
        return new LevelWeight(table, type, group, state.Rows, state.Columns, codes, scales);
    }

    float[] Scales(string prefix, int blocks, State state)
    {
        if (state.NestedBlockSize is not { } nested)
            return ReadScales(prefix + ".absmax", blocks);
        byte[] codes = Expect(prefix + ".absmax", DType.U8, blocks).ToBytes();
        float[] map = ReadScales(prefix + ".nested_quant_map", 256), largest = ReadScales(prefix + ".nested_absmax", (blocks + nested - 1) / nested);
        return [.. codes.Select((code, i) => map[code] * largest[i / nested] + state.NestedOffset)];
    }

    readonly record struct State(int Rows, int Columns, int BlockSize, int? NestedBlockSize, float NestedOffset);

    State StateOf(string prefix)
    {
        TensorEntry entry = Tensors.Find(Tensors.Entries.ContainsKey($"{prefix}{BitsAndBytes.State}nf4") ? $"{prefix}{BitsAndBytes.State}nf4" : $"{prefix}{BitsAndBytes.State}fp4");
        if (entry.DType != DType.U8 || entry.ByteCount > MostStateBytes)
            throw entry.Error($"is {entry.DType} of {entry.ByteCount:N0} bytes, wanted JSON in at most {MostStateBytes:N0} of U8");
        string place = $"{Tensors.Path}: tensor '{entry.Name}'";
        using JsonDocument document = JsonFile.Parse(place, entry.ToBytes());
        JsonFields json = new(place, document.RootElement);
        IReadOnlyList<int> shape = json.Has("shape") ? json.Integers("shape") : [];
        int blockSize = json.Integer("blocksize"), nested = json.Integer("nested_blocksize", 0);
        double offset = json.Number("nested_offset", 0);
        if (shape.Count != 2 || blockSize < 1 || nested < 0 || !float.IsFinite((float)offset))
            throw entry.Error("has no shape of two sizes, or a block size below 1");
        (int rows, int columns) = Checked(entry, shape[0], shape[1]);
        return new(rows, columns, blockSize, nested == 0 ? null : nested, (float)offset);
    }
}
