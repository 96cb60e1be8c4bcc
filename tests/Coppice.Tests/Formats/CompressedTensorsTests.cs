using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Formats;

/// <summary>The compressed-tensors layout against a packer written from the format's description, bit by bit.</summary>
public sealed class CompressedTensorsTests : IDisposable
{
    const string Name = "model.layers.0.mlp.up_proj.weight", Module = "model.layers.0.mlp.up_proj";

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(1, 32, 7, 64, true), InlineData(5, 20, 7, 40, false), InlineData(6, -1, 7, 40, false), InlineData(7, 32, 3, 64, true), InlineData(4, 32, 7, 64, true), InlineData(4, 32, 9, 96, false), InlineData(8, -1, 5, 33, true), InlineData(8, 16, 5, 32, false), InlineData(3, 16, 11, 48, false), InlineData(2, -1, 3, 17, true)]
    public void Packed_integers_are_the_documented_ones_and_come_back(int bits, int group, int rows, int columns, bool symmetric)
    {
        Random random = new(bits);
        int groups = group == -1 ? 1 : columns / group;
        byte[] codes = Codes(rows * columns), zeros = symmetric ? [] : Codes(rows * groups);
        Half[] scales = [.. Enumerable.Range(0, rows * groups).Select(_ => (Half)random.NextSingle())];
        IntWeight weight = new(bits, group, rows, columns, codes, scales, zeros);
        Save([new(Name, weight)]);

        using (SafeTensors raw = SafeTensors.Open(folder.Path))
        {
            Assert.Equal(PackRows(codes, rows, columns, bits), raw.Find(Module + ".weight_packed").ToInts());
            Assert.Equal([rows, (columns * bits + 31) / 32], raw.ShapeOf(Module + ".weight_packed").ToArray());
            Assert.Equal([rows, columns], raw.Find(Module + ".weight_shape").ToInts());
            Assert.Equal(scales.Select(scale => (float)scale), raw.ReadTensor(Module + ".weight_scale").Data.ToArray());
            Assert.Equal(symmetric ? 3 : 4, raw.Names.Count);
            if (!symmetric)
            {
                // Packed down the rows: transposed, packed along, transposed back.
                int words = (rows * bits + 31) / 32;
                int[] down = PackRows(Transposed(zeros, rows, groups), groups, rows, bits), wanted = Transposed(down, groups, words);
                Assert.Equal(wanted, raw.Find(Module + ".weight_zero_point").ToInts());
                Assert.Equal([words, groups], raw.ShapeOf(Module + ".weight_zero_point").ToArray());
            }
        }
        using CompressedCheckpoint model = CompressedCheckpoint.Open(folder.Path);
        Assert.Equal([Name], model.Names);
        Assert.Equal([rows, columns], model.ShapeOf(Name).ToArray());
        IntWeight back = Assert.IsType<IntWeight>(model.ReadWeight(Name));
        Assert.Equal(weight.Kind, back.Kind);
        Assert.Equal(weight.ToDense(), back.ToDense());
        Assert.Equal(weight.ToDense(), model.ReadTensor(Name).Data.ToArray());

        byte[] Codes(int count) => [.. Enumerable.Range(0, count).Select(_ => (byte)random.Next(1 << bits))];
    }

    [Fact]
    public void Sparse_matrices_are_the_documented_bitmask_and_come_back()
    {
        float[] dense = [1, 0, 2, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0];
        Save([new(Name, SparseWeight.From(2, 10, dense))]);
        using (SafeTensors raw = SafeTensors.Open(folder.Path))
        {
            Assert.Equal([0x85, 0x02, 0x00, 0x01], raw.Find(Name + ".bitmask").ToBytes());
            Assert.Equal([2L, 2], raw.ShapeOf(Name + ".bitmask").ToArray());
            Assert.Equal([1f, 2f, 3f, 4f, 5f], raw.ReadTensor(Name + ".compressed").Data.ToArray());
            Assert.Equal([0, 4], raw.Find(Name + ".row_offsets").ToInts());
            Assert.Equal([2, 10], raw.Find(Name + ".shape").ToInts());
        }
        using CompressedCheckpoint model = CompressedCheckpoint.Open(folder.Path);
        Assert.Equal([Name], model.Names);
        Assert.Equal("sparse-f16", model.ReadWeight(Name).Kind);
        Assert.Equal(dense, model.ReadWeight(Name).ToDense());
        Assert.Equal([2L, 10], model.ShapeOf(Name).ToArray());
    }

    [Fact]
    public void Two_of_four_is_the_documented_bitmask_and_comes_back()
    {
        float[] dense = [0, 1, 0, 2, 3, 0, 0, 4, 5, 0, 6, 0, 0, 0, 7, 8];
        Save([new(Name, TwoFourWeight.From(2, 8, dense))]);
        using (SafeTensors raw = SafeTensors.Open(folder.Path))
        {
            Assert.Equal([0b1001_1010, 0b1100_0101], raw.Find(Module + ".bitmask").ToBytes());
            Assert.Equal([2L, 4], raw.ShapeOf(Module + ".compressed").ToArray());
            Assert.Equal([2L, 1], raw.ShapeOf(Module + ".shape").ToArray());
        }
        using CompressedCheckpoint model = CompressedCheckpoint.Open(folder.Path);
        Assert.Equal("2:4-f16", model.ReadWeight(Name).Kind);
        Assert.Equal(dense, model.ReadWeight(Name).ToDense());
    }

    [Theory]
    [InlineData(true), InlineData(false)]
    public void Two_of_four_integers_are_written_as_integers_with_the_same_numbers(bool symmetric)
    {
        Random random = new(3);
        float[] pruned = [.. Enumerable.Range(0, 4 * 64).Select(i => i % 4 < 2 ? 1f : 0f)];
        byte[] codes = [.. pruned.Select(_ => (byte)random.Next(16))], zeros = [.. Enumerable.Range(0, 8).Select(_ => (byte)random.Next(16))];
        Half[] scales = [.. Enumerable.Range(0, 8).Select(_ => (Half)random.NextSingle())];
        TwoFourIntWeight weight = TwoFourIntWeight.From(4, 32, 4, 64, pruned, codes, scales, symmetric ? [] : zeros);
        Save([new(Name, weight)]);
        using CompressedCheckpoint model = CompressedCheckpoint.Open(folder.Path);
        Assert.Equal(symmetric ? "int4-g32" : "int4-g32-asym", model.ReadWeight(Name).Kind);
        Assert.Equal(weight.ToDense(), model.ReadWeight(Name).ToDense());
    }

    [Fact]
    public void The_config_says_what_vllm_reads()
    {
        IntWeight weight = new(4, 32, 1, 32, new byte[32], new Half[1], []);
        (_, CompressionConfig? config) = CompressedTensors.Encode([new(Name, weight), new("lm_head.weight", HalfWeight.From(HalfFormat.Float16, 1, 2, [1, 2])), new("model.norm.weight", new Tensor([2]))], DType.F16);
        JsonObject json = config!.ToJson();
        Assert.Equal(["config_groups", "format", "global_compression_ratio", "ignore", "kv_cache_scheme", "quant_method", "quantization_status", "version"], json.Select(pair => pair.Key).Order(StringComparer.Ordinal));
        Assert.Equal("""["lm_head"]""", json["ignore"]!.ToJsonString());
        JsonNode group = json["config_groups"]!["group_0"]!;
        Assert.Equal("""["Linear"]""", group["targets"]!.ToJsonString());
        Assert.Equal(("group", 32, 4, true, "int"), ((string?)group["weights"]!["strategy"], (int)group["weights"]!["group_size"]!, (int)group["weights"]!["num_bits"]!, (bool)group["weights"]!["symmetric"]!, (string?)group["weights"]!["type"]));
        using JsonDocument document = JsonDocument.Parse(json.ToJsonString());
        CompressionConfig back = CompressionConfig.Parse("config.json", document.RootElement);
        Assert.Equal(config.Groups[0] with { Targets = [] }, back.Groups[0] with { Targets = [] });
        Assert.Equal(["Linear"], back.Groups[0].Targets.ToArray());
        Assert.Equal(["lm_head"], back.Ignore.ToArray());
    }

    [Fact]
    public void A_head_that_is_the_table_of_tokens_is_no_target()
    {
        IntWeight weight = new(4, 32, 1, 32, new byte[32], new Half[1], []);
        (_, CompressionConfig? tied) = CompressedTensors.Encode([new(Name, weight), new("model.embed_tokens.weight", HalfWeight.From(HalfFormat.Float16, 1, 2, [1, 2]))], DType.F16);
        Assert.Equal(["model.embed_tokens", "lm_head"], tied!.Ignore.ToArray());
        (_, CompressionConfig? own) = CompressedTensors.Encode([new(Name, weight), new("lm_head.weight", weight)], DType.F16);
        Assert.Empty(own!.Ignore);
    }

    [Fact]
    public void A_model_of_many_kinds_comes_back_kind_by_kind()
    {
        float[] values = [.. Enumerable.Range(0, 64).Select(i => i / 8f)];
        CheckpointEntry[] entries =
        [
            new("a.weight", new IntWeight(4, 32, 2, 32, new byte[64], new Half[2], [])),
            new("b.weight", new IntWeight(8, IntWeight.WholeRow, 2, 32, new byte[64], new Half[2], [])),
            new("c.weight", SparseWeight.From(2, 32, values)),
            new("d.weight", HalfWeight.From(HalfFormat.BFloat16, 2, 32, values)),
            new("e.weight", HalfWeight.From(HalfFormat.Float16, 2, 32, values)),
            new("norm.weight", Tensor.From([64], values)),
        ];
        Save(entries);
        using CompressedCheckpoint model = CompressedCheckpoint.Open(folder.Path);
        Assert.Equal(entries.Select(entry => entry.Name), model.Names);
        Assert.Equal(["int4-g32", "int8-channel", "sparse-f16", "bf16", "f16"], entries[..5].Select(entry => model.ReadWeight(entry.Name).Kind));
        Assert.All(entries[..5], entry => Assert.Equal(entry.Weight!.ToDense(), model.ReadWeight(entry.Name).ToDense()));
        Assert.Equal(values, model.ReadTensor("norm.weight").Data.ToArray());
    }

    [Fact]
    public void Plain_signed_bytes_with_scales_are_read()
    {
        File.WriteAllText(folder["config.json"], """{"quantization_config":{"quant_method":"compressed-tensors","format":"int-quantized","config_groups":{"group_0":{"targets":["re:.*proj"],"weights":{"num_bits":8,"type":"int","symmetric":true,"strategy":"channel","dynamic":false}}}}}""");
        SafeTensorsWriter.WriteFile(folder["model.safetensors"], [TensorSource.Raw(Name, DType.I8, [2, 2], new sbyte[] { -128, 127, 0, 3 }), TensorSource.Raw(Module + ".weight_scale", DType.F16, [2, 1], new[] { (Half)2, (Half)0.5f })]);
        using CompressedCheckpoint model = CompressedCheckpoint.Open(folder.Path);
        Assert.Equal([-256f, 254f, 0f, 1.5f], model.ReadWeight(Name).ToDense());
        Assert.Equal([Name], model.Names);
    }

    [Fact]
    public void A_plain_model_needs_no_config_and_says_nothing()
    {
        Assert.Null(CompressedTensors.Encode([new("a.weight", new DenseWeight(new Tensor([2, 2])))], DType.F32).Config);
        SafeTensorsWriter.WriteFolder(folder.Path, CompressedTensors.Encode([new("a.weight", new DenseWeight(new Tensor([2, 2])))], DType.F32).Tensors);
        using CompressedCheckpoint model = CompressedCheckpoint.Open(folder.Path);
        Assert.Equal("f32", model.ReadWeight("a.weight").Kind);
        Assert.Null(model.Config);
    }

    [Theory]
    [InlineData("""{"quantization_config":{"quant_method":"gptq","bits":4}}""", "stored by 'gptq'")]
    [InlineData("""{"quantization_config":{}}""", "not what compressed-tensors wants")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":4,"type":"float","strategy":"channel"}}}}}""", "stores weights as float of 4 bits")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":8,"type":"float","strategy":"group","group_size":32}}}}}""", "floating-point weights in groups of 32")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","kv_cache_scheme":{"num_bits":8}}}""", "kv_cache_scheme is set")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","transform_config":{"config_groups":{"a":{}}}}}""", "transform_config is set")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","secret":1}}""", "has the key 'secret', which is not known")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","config_groups":{"g":{"targets":["Linear"],"extra":1,"weights":{"num_bits":4}}}}}""", "g has the key 'extra'")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":4,"bits":3}}}}}""", "g weights has the key 'bits'")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","sparsity_config":{"format":"dense","more":1}}}""", "sparsity_config has the key 'more'")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","format":"nvfp4-pack-quantized","config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":4}}}}}""", "is stored as 'nvfp4-pack-quantized'")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":4,"strategy":"block"}}}}}""", "strategy 'block'")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","config_groups":{"g":{"targets":["re:(a"],"weights":{"num_bits":4,"group_size":32}}}}}""", "target 're:(a'")]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","sparsity_config":{"format":"marlin-24"}}}""", "'marlin-24' is not read")]
    [InlineData("""{"quantization_config":""", "is not JSON")]
    public void What_is_not_read_is_named(string config, string said)
    {
        SafeTensorsWriter.WriteFile(folder["model.safetensors"], []);
        File.WriteAllText(folder["config.json"], config);
        Assert.Contains(said, Assert.Throws<CoppiceException>(() => CompressedCheckpoint.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_format_has_no_place_for_is_refused()
    {
        IntWeight ragged = new(4, 32, 1, 40, new byte[40], new Half[2], []);
        Assert.Contains("rows of 40 numbers", Assert.Throws<CoppiceException>(() => CompressedTensors.Encode([new(Name, ragged)], DType.F16)).Message, StringComparison.Ordinal);
        Assert.Contains("ends in .weight", Assert.Throws<CoppiceException>(() => CompressedTensors.Encode([new("w", ragged)], DType.F16)).Message, StringComparison.Ordinal);
        Assert.Contains("found both", Assert.Throws<CoppiceException>(() => CompressedTensors.Encode([new("a.weight", SparseWeight.From(1, 4, [1, 0, 0, 0])), new("b.weight", TwoFourWeight.From(1, 4, [1, 0, 0, 0]))], DType.F16)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_parts_are_read_or_refused()
    {
        Save([new("a.weight", new IntWeight(4, 16, 3, 32, new byte[96], new Half[6], new byte[6])), new("b.weight", SparseWeight.From(2, 10, new float[20]))]);
        Mutations.Check(File.ReadAllBytes(folder["model.safetensors"]), folder["model.safetensors"], seed: 8, rounds: 1000, _ => ReadAll());
        Save([new("a.weight", new IntWeight(4, 16, 3, 32, new byte[96], new Half[6], new byte[6])), new("b.weight", SparseWeight.From(2, 10, new float[20]))]);
        Mutations.Check(File.ReadAllBytes(folder["config.json"]), folder["config.json"], seed: 9, rounds: 1000, _ => ReadAll());

        void ReadAll()
        {
            using CompressedCheckpoint model = CompressedCheckpoint.Open(folder.Path);
            foreach (string name in model.Names)
            {
                model.ShapeOf(name);
                model.ReadTensor(name);
            }
        }
    }

    void Save(CheckpointEntry[] entries)
    {
        (var tensors, CompressionConfig? config) = CompressedTensors.Encode(entries, DType.F32);
        SafeTensorsWriter.WriteFolder(folder.Path, tensors);
        File.WriteAllText(folder["config.json"], new JsonObject { [CompressionConfig.Key] = config?.ToJson() }.ToJsonString());
    }

    // Bit i of a row's stream is bit i % b of code i / b, and bit i % 32 of word i / 32.
    static int[] PackRows(byte[] codes, int rows, int columns, int bits)
    {
        int words = (columns * bits + 31) / 32;
        uint[] packed = new uint[rows * words];
        for (int row = 0; row < rows; row++)
            for (int i = 0; i < columns * bits; i++)
                if ((codes[row * columns + i / bits] & (1 << i % bits)) != 0)
                    packed[row * words + i / 32] |= 1u << i % 32;
        return [.. MemoryMarshal.Cast<uint, int>(packed)];
    }

    static T[] Transposed<T>(T[] values, int rows, int columns)
    {
        T[] result = new T[values.Length];
        for (int i = 0; i < values.Length; i++)
            result[i % columns * rows + i / columns] = values[i];
        return result;
    }
}
