using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Formats;

/// <summary>compressed-tensors' other layouts, packed by hand from the format's description.</summary>
public sealed class CompressedLayoutsTests : IDisposable
{
    const string Module = "model.layers.0.mlp.up_proj", Name = Module + ".weight";

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(3, 7, 64, "0.11.0", 7), InlineData(5, 9, 60, "0.17.1", 10), InlineData(6, 11, 55, "0.12.2", 11), InlineData(7, 5, 40, null, 10)]
    // 15 codes of 3 bits fill two words either way: the version decides.
    [InlineData(3, 15, 15, "0.17.1", 2), InlineData(4, 8, 32, "0.9.0", 4)]
    public void Whole_codes_a_word_are_read(int bits, int rows, int columns, string? version, int words)
    {
        Random random = new(bits);
        int[] codes = [.. Enumerable.Range(0, rows * columns).Select(_ => random.Next(1 << bits))], zeros = [.. Enumerable.Range(0, rows).Select(_ => random.Next(1 << bits))];
        Half[] scales = [.. Enumerable.Range(0, rows).Select(_ => (Half)random.NextSingle())];
        int perWord = 32 / bits, down = (rows + perWord - 1) / perWord;
        int[] packed = new int[rows * words], packedZeros = new int[down];
        for (int i = 0; i < codes.Length; i++)
            packed[i / columns * words + i % columns / perWord] |= codes[i] << i % columns % perWord * bits;
        for (int row = 0; row < rows; row++)
            packedZeros[row / perWord] |= zeros[row] << row % perWord * bits;
        Config(Scheme(bits, "channel", symmetric: false), "pack-quantized", version);
        Write(TensorSource.Raw(Module + ".weight_packed", DType.I32, [rows, words], packed), TensorSource.Raw(Module + ".weight_scale", DType.F16, [rows, 1], scales),
            TensorSource.Raw(Module + ".weight_shape", DType.I64, [2], new long[] { rows, columns }), TensorSource.Raw(Module + ".weight_zero_point", DType.I32, [down, 1], packedZeros));
        Reads([.. codes.Select((code, i) => (code - zeros[i / columns]) * (float)scales[i / columns])], $"int{bits}-channel-asym");
    }

    [Fact]
    public void Codes_of_two_words_either_way_are_a_stream_from_version_0_18_on()
    {
        // Codes 0 to 7, 0 to 6 of 3 bits.
        uint[] packed = new uint[2];
        for (int i = 0; i < 45; i++)
            if ((i / 3 % 8 >> i % 3 & 1) != 0)
                packed[i / 32] |= 1u << i % 32;
        Write(TensorSource.Raw(Module + ".weight_packed", DType.I32, [1, 2], MemoryMarshal.Cast<uint, int>(packed).ToArray()), TensorSource.Raw(Module + ".weight_scale", DType.F16, [1, 1], new[] { Half.One }),
            TensorSource.Raw(Module + ".weight_shape", DType.I64, [2], new long[] { 1, 15 }));
        Config(Scheme(3, "channel", symmetric: true), "pack-quantized", "0.18.0");
        Reads([.. Enumerable.Range(0, 15).Select(i => i % 8 - 4f)], "int3-channel");
    }

    [Fact]
    public void Inputs_grouped_out_of_order_are_read_and_written_alike()
    {
        int[] groupOf = [.. Enumerable.Range(0, 64).Select(i => i % 2)];
        byte[] codes = [.. Enumerable.Range(0, 128).Select(i => (byte)(i * 7 % 16))];
        int[] packed = new int[16];
        for (int i = 0; i < 128; i++)
            packed[i / 8] |= codes[i] << i % 8 * 4;
        Half[] scales = [(Half)1, (Half)0.5f, (Half)2, (Half)0.25f];
        Config(Scheme(4, "group", symmetric: true, groupSize: 32, actOrder: "group"), "pack-quantized", "0.18.0");
        TensorSource[] sources = [TensorSource.Raw(Module + ".weight_packed", DType.I32, [2, 8], packed), TensorSource.Raw(Module + ".weight_scale", DType.F16, [2, 2], scales),
            TensorSource.Raw(Module + ".weight_shape", DType.I64, [2], new long[] { 2, 64 }), TensorSource.Raw(Module + ".weight_g_idx", DType.I32, [64], groupOf)];
        Write(sources);
        float[] dense = [.. codes.Select((code, i) => (code - 8) * (float)scales[i / 64 * 2 + groupOf[i % 64]])];
        Reads(dense, "int4-g32-permuted");
        using (CompressedCheckpoint read = CompressedCheckpoint.Open(folder.Path))
        {
            (var tensors, CompressionConfig? config) = CompressedTensors.Encode([new(Name, read.ReadWeight(Name))], DType.F16);
            Assert.Equal("group", (string?)config!.ToJson()["config_groups"]!["group_0"]!["weights"]!["actorder"]);
            Assert.Equal(SafeTensorsWriter.ToBytes(sources), SafeTensorsWriter.ToBytes(tensors));
        }
        // Set aside and never filled.
        Array.Fill(groupOf, -1);
        Write(sources);
        Reads([.. codes.Select((code, i) => (code - 8) * (float)scales[i / 64 * 2 + i % 64 / 32])], "int4-g32");
        groupOf[0] = 0;
        Write(sources);
        Refuses("does not put 64 inputs into groups of 32");
    }

    [Fact]
    public void Bytes_with_zero_points_are_read_and_written_alike()
    {
        sbyte[] codes = [.. Enumerable.Range(0, 256).Select(i => (sbyte)(i - 128))], zeros = [-128, 5, 127, 0];
        Half[] scales = [(Half)1, (Half)0.5f, (Half)2, (Half)0.25f];
        Config(Scheme(8, "channel", symmetric: false), "int-quantized", "0.10.0", Scheme(8, "token", symmetric: true, dynamic: true));
        TensorSource[] sources = [TensorSource.Raw(Name, DType.I8, [4, 64], codes), TensorSource.Raw(Module + ".weight_scale", DType.F16, [4, 1], scales), TensorSource.Raw(Module + ".weight_zero_point", DType.I8, [4, 1], zeros)];
        Write(sources);
        float[] dense = [.. codes.Select((code, i) => (code - zeros[i / 64]) * (float)scales[i / 64])];
        Reads(dense, "int8-channel-asym");
        using CompressedCheckpoint read = CompressedCheckpoint.Open(folder.Path);
        (var tensors, CompressionConfig? config) = CompressedTensors.Encode([new(Name, read.ReadWeight(Name))], DType.F16, CompressionFormat.IntQuantized);
        Assert.Equal(SafeTensorsWriter.ToBytes(sources), SafeTensorsWriter.ToBytes(tensors));
        JsonNode group = config!.ToJson()["config_groups"]!["group_0"]!;
        Assert.Equal(("int-quantized", "token", true), ((string?)group["format"], (string?)group["input_activations"]!["strategy"], (bool)group["input_activations"]!["dynamic"]!));
    }

    [Fact]
    public void Fewer_bits_in_bytes_are_read_and_what_does_not_fit_them_is_refused()
    {
        sbyte[] codes = [.. Enumerable.Range(0, 64).Select(i => (sbyte)(i % 16 - 8))];
        Config(Scheme(4, "group", symmetric: true, groupSize: 16), "naive-quantized", "0.10.0");
        TensorSource scales = TensorSource.Raw(Module + ".weight_scale", DType.F32, [2, 2], new[] { 1f, 2, 3, 0.1f });
        Write(TensorSource.Raw(Name, DType.I8, [2, 32], codes), scales);
        Reads([.. codes.Select((code, i) => code * new[] { 1f, 2, 3, 0.1f }[i / 16])], "int4-g16");
        codes[5] = 8;
        Write(TensorSource.Raw(Name, DType.I8, [2, 32], codes), scales);
        Refuses("holds 8 at 5, which has no 4 bits");
    }

    [Fact]
    public void One_scale_and_one_zero_point_stand_for_a_whole_matrix()
    {
        sbyte[] codes = [1, 2, 3, 4, 5, 6];
        Config(Scheme(8, "tensor", symmetric: false), "int-quantized", "0.10.0");
        Write(TensorSource.Raw(Name, DType.I8, [3, 2], codes), TensorSource.Raw(Module + ".weight_scale", DType.F32, [1], new[] { 0.1f }), TensorSource.Raw(Module + ".weight_zero_point", DType.I8, [1], new sbyte[] { -1 }));
        Reads([.. codes.Select(code => (code + 1) * 0.1f)], "int8-channel-asym");
        Assert.True(CompressedCheckpoint.Open(folder.Path).ReadWeight(Name) is IntWeight { HasWideScales: true });
    }

    [Theory]
    [InlineData("channel"), InlineData("tensor")]
    public void Floating_point_bytes_are_read_and_written_alike(string strategy)
    {
        // 1, -2, 0.4375, the smallest, the largest, zero.
        byte[] bits = [0x38, 0xC0, 0x2E, 0x01, 0x7E, 0x80];
        float[] numbers = [1, -2, 0.4375f, 0.001953125f, 448, 0], scales = strategy == "tensor" ? [0.3f] : [0.1f, 3];
        Config(Scheme(8, strategy, symmetric: true, type: "float"), "float-quantized", "0.10.0", Scheme(8, "token", symmetric: true, type: "float", dynamic: true));
        TensorSource[] sources = [TensorSource.Raw(Name, DType.F8_E4M3, [2, 3], bits), TensorSource.Raw(Module + ".weight_scale", DType.F32, strategy == "tensor" ? [1] : [2, 1], scales)];
        Write([.. sources, TensorSource.Raw(Module + ".input_scale", DType.F32, [1], new[] { 1f })]);
        Reads([.. numbers.Select((number, i) => number * scales[i / 3 % scales.Length])], $"f8_e4m3-{strategy}");
        using CompressedCheckpoint read = CompressedCheckpoint.Open(folder.Path);
        (var tensors, CompressionConfig? config) = CompressedTensors.Encode([new(Name, read.ReadWeight(Name))], DType.F16);
        Assert.Equal(SafeTensorsWriter.ToBytes(sources), SafeTensorsWriter.ToBytes(tensors));
        JsonNode weights = config!.ToJson()["config_groups"]!["group_0"]!["weights"]!;
        Assert.Equal((strategy, "float", 8), ((string?)weights["strategy"], (string?)weights["type"], (int)weights["num_bits"]!));
        bits[2] = 0xFF;
        Write(sources);
        Refuses("not finite at 2 of 6");
    }

    public static TheoryData<string> Sparse => ["bf16", "f32", "f8", "int8"];

    [Theory]
    [MemberData(nameof(Sparse))]
    public void Sparse_numbers_of_every_type_are_read(string type)
    {
        // Rows 1 0 2 0 and 0 3 0 4, of which two of four are kept.
        byte[] mask = [0b0101, 0b1010];
        TensorSource kept = type switch
        {
            "bf16" => TensorSource.Floats(Module + ".compressed", DType.BF16, Tensor.From([2, 2], [1, 2, 3, 4])),
            "f32" => TensorSource.Floats(Module + ".compressed", DType.F32, Tensor.From([2, 2], [1, 2, 3, 4])),
            "f8" => TensorSource.Raw(Module + ".compressed", DType.F8_E4M3, [2, 2], new byte[] { 0x38, 0x40, 0x44, 0x48 }),
            _ => TensorSource.Raw(Module + ".compressed", DType.I8, [2, 2], new sbyte[] { 1, 2, 3, 4 }),
        };
        bool quantized = type is "f8" or "int8";
        JsonObject json = new() { ["quant_method"] = "compressed-tensors", ["sparsity_config"] = new JsonObject { ["format"] = "sparse-24-bitmask", ["sparsity_structure"] = "2:4", ["targets"] = new JsonArray("Linear"), ["ignore"] = new JsonArray(), ["global_sparsity"] = 0.5, ["registry_requires_subclass"] = false } };
        if (quantized)
            json["config_groups"] = new JsonObject { ["group_0"] = new JsonObject { ["targets"] = new JsonArray("Linear"), ["weights"] = Scheme(8, "channel", symmetric: true, type: type == "f8" ? "float" : "int") } };
        File.WriteAllText(folder["config.json"], new JsonObject { ["quantization_config"] = json }.ToJsonString());
        List<TensorSource> sources = [kept, TensorSource.Raw(Module + ".bitmask", DType.U8, [2, 1], mask), TensorSource.Raw(Module + ".shape", DType.I64, [2, 1], new long[] { 2, 4 })];
        if (quantized)
            sources.Add(TensorSource.Raw(Module + ".weight_scale", DType.F32, [2, 1], new[] { 0.1f, 10 }));
        Write([.. sources]);
        float[] dense = [1, 0, 2, 0, 0, 3, 0, 4];
        Reads(quantized ? [.. dense.Select((number, i) => number * (i < 4 ? 0.1f : 10))] : dense, type switch { "f8" => "f8_e4m3-channel", "int8" => "int8-channel", _ => type });
    }

    [Fact]
    public void Damaged_parts_are_read_or_refused()
    {
        CheckpointEntry[] entries =
        [
            new("a.weight", new PermutedWeight(new IntWeight(3, 16, 3, 32, new byte[96], new Half[6], new byte[6]), [.. Enumerable.Range(0, 32).Reverse()])),
            new("b.weight", new IntWeight(8, 16, 3, 32, new byte[96], new Half[6], new byte[6])),
            new("c.weight", new Float8Weight(Float8Format.E4M3, 2, 16, new byte[32], [1, 2])),
            new("d.weight", TwoFourWeight.From(2, 8, [0, 1, 0, 2, 3, 0, 0, 4, 5, 0, 6, 0, 0, 0, 7, 8])),
        ];
        (var tensors, CompressionConfig? config) = CompressedTensors.Encode(entries, DType.F16, CompressionFormat.IntQuantized);
        Write([.. tensors]);
        File.WriteAllText(folder["config.json"], new JsonObject { ["quantization_config"] = config!.ToJson() }.ToJsonString());
        using (ICheckpoint model = Checkpoint.Open(folder.Path))
            Assert.All(entries, entry => Assert.Equal(entry.Weight!.ToDense(), model.ReadWeight(entry.Name).ToDense()));
        Mutations.CheckFolder(folder, ["model.safetensors", "config.json"], seed: 31, rounds: 600);
    }

    static JsonObject Scheme(int bits, string strategy, bool symmetric, int? groupSize = null, string type = "int", string? actOrder = null, bool dynamic = false) => new()
    {
        ["num_bits"] = bits,
        ["type"] = type,
        ["symmetric"] = symmetric,
        ["strategy"] = strategy,
        ["group_size"] = groupSize,
        ["actorder"] = actOrder,
        ["dynamic"] = dynamic,
        ["block_structure"] = null,
        ["observer"] = "minmax",
        ["observer_kwargs"] = new JsonObject(),
        ["scale_dtype"] = null,
        ["zp_dtype"] = null,
    };

    void Config(JsonObject weights, string format, string? version, JsonObject? activations = null)
    {
        JsonObject quantization = new()
        {
            ["quant_method"] = "compressed-tensors",
            ["format"] = format,
            ["ignore"] = new JsonArray("lm_head"),
            ["quantization_status"] = "compressed",
            ["kv_cache_scheme"] = null,
            ["global_compression_ratio"] = null,
            ["config_groups"] = new JsonObject { ["group_0"] = new JsonObject { ["targets"] = new JsonArray("Linear"), ["weights"] = weights, ["input_activations"] = activations, ["output_activations"] = null } },
        };
        if (version is not null)
            quantization["version"] = version;
        File.WriteAllText(folder["config.json"], new JsonObject { ["quantization_config"] = quantization }.ToJsonString());
    }

    void Write(params TensorSource[] sources) => SafeTensorsWriter.WriteFile(folder["model.safetensors"], sources);

    void Reads(float[] dense, string kind)
    {
        using ICheckpoint model = Checkpoint.Open(folder.Path);
        Assert.Equal([Name], model.Names);
        Weight weight = model.ReadWeight(Name);
        Assert.Equal(kind, weight.Kind);
        Assert.Equal(dense, weight.ToDense());
        Assert.Equal([weight.Rows, weight.Columns], model.ShapeOf(Name).ToArray());
        Assert.Equal(dense, model.ReadTensor(Name).Data.ToArray());
    }

    void Refuses(string said)
    {
        using ICheckpoint model = Checkpoint.Open(folder.Path);
        Assert.Contains(said, Assert.Throws<CoppiceException>(() => model.ReadWeight(Name)).Message, StringComparison.Ordinal);
    }
}
