using System.Collections.Immutable;
using System.Text;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tests.Weights;
using Coppice.Weights;

namespace Coppice.Tests.Formats;

/// <summary>Matrices on tables of levels, in bitsandbytes' parts and in Coppice's own.</summary>
public sealed class LevelLayoutsTests : IDisposable
{
    const string Name = "model.layers.0.mlp.up_proj.weight", State = """{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [2, 5]}""";

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Nf4_of_bitsandbytes_is_read()
    {
        // Ten numbers in two rows, the first of a byte in its high bits, one block that is not full: 6, 12, 13, 1, 15, 2, 5, 14, 8, 0.
        Write(new JsonObject { ["quant_method"] = "bitsandbytes", ["load_in_4bit"] = true }, Nf4([0x6C, 0xD1, 0xF2, 0x5E, 0x80], [0.5f], State));
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Equal<long>([2, 5], read.ShapeOf(Name));
        float[] wanted = [-0.04552502f, 0.22035491f, 0.2813085f, -0.3480964f, 0.5f, -0.26253653f, -0.09238671f, 0.3614784f, 0.03979015f, -0.5f];
        Assert.All(read.ReadWeight(Name).ToDense().Zip(wanted), pair => Assert.Equal(pair.Second, pair.First, 1e-6f));
        Assert.Equal([Name], read.Names);
    }

    [Fact]
    public void Scales_in_8_bits_are_read()
    {
        float[] map = [.. Enumerable.Range(0, 256).Select(i => i / 255f)];
        string state = """{"quant_type":"nf4","blocksize":4,"dtype":"float16","shape":[1,8],"nested_blocksize":1,"nested_dtype":"float32","nested_offset":0.5}""";
        Write(new JsonObject { ["quant_method"] = "bitsandbytes", ["load_in_4bit"] = true },
            TensorSource.Raw(Name, DType.U8, [4, 1], new byte[] { 0xF0, 0x77, 0xFF, 0x70 }), TensorSource.Raw(Name + ".absmax", DType.U8, [2], new byte[] { 255, 0 }),
            TensorSource.Raw(Name + ".nested_absmax", DType.F32, [2], new[] { 2f, 7 }), TensorSource.Raw(Name + ".nested_quant_map", DType.F32, [256], map),
            TensorSource.Raw(Name + ".quant_map", DType.F32, [16], LevelTables.Nf4.Levels.ToArray()), StateOf(state));
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        // 1 * 2 + 0.5 and 0 * 7 + 0.5.
        Assert.Equal([2.5f, -2.5f, 0, 0, 0.5f, 0.5f, 0, -0.5f], read.ReadWeight(Name).ToDense());
    }

    [Fact]
    public void Nf4_is_written_as_bitsandbytes_has_it_and_read_back()
    {
        LevelWeight weight = (LevelWeight)Levels(LevelTables.Nf4, 64, 3, 128);
        (QuantizationLayout layout, JsonObject config) = WriteEntries(new CheckpointEntry(Name, weight));
        Assert.Equal(QuantizationLayout.BitsAndBytes, layout);
        Assert.Equal((true, "nf4", false), ((bool)config["load_in_4bit"]!, (string?)config["bnb_4bit_quant_type"], (bool)config["bnb_4bit_use_double_quant"]!));
        using (SafeTensors raw = SafeTensors.Open(folder.Path))
        {
            byte[] first = new byte[1], codes = new byte[128];
            raw.Find(Name).ReadBytes(0, first);
            weight.UnpackCodes(0, codes);
            Assert.Equal(codes[0] << 4 | codes[1], first[0]);
            Assert.Equal<long>([192, 1], raw.Find(Name).Shape);
            Assert.Equal("""{"quant_type":"nf4","blocksize":64,"dtype":"float16","shape":[3,128]}""", Encoding.UTF8.GetString(raw.Find(Name + ".quant_state.bitsandbytes__nf4").ToBytes()));
        }
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Weight back = read.ReadWeight(Name);
        Assert.Equal(("nf4-g64", weight.ByteCount), (back.Kind, back.ByteCount));
        Assert.Equal(weight.ToDense(), back.ToDense());
    }

    [Theory]
    [InlineData("model.embed_tokens", """["model.embed_tokens","lm_head"]""")]
    [InlineData("lm_head", """["lm_head"]""")]
    public void Transformers_is_told_not_to_look_for_a_packed_head(string plain, string skipped)
    {
        CheckpointEntry[] entries = [new(Name, (LevelWeight)Levels(LevelTables.Nf4, 64, 3, 128)), new(plain + ".weight", ProductTests.Make("f16", 2, 8))];
        (_, JsonObject? config) = QuantizationLayout.BitsAndBytes.Encode(entries, DType.F16);
        Assert.Equal(skipped, config!["llm_int8_skip_modules"]!.ToJsonString());
    }

    [Fact]
    public void A_packed_head_is_not_skipped()
    {
        (_, JsonObject? config) = QuantizationLayout.BitsAndBytes.Encode([new CheckpointEntry("lm_head.weight", Levels(LevelTables.Nf4, 64, 3, 128))], DType.F16);
        Assert.Equal("[]", config!["llm_int8_skip_modules"]!.ToJsonString());
    }

    public static TheoryData<string> Own => ["nf4-g32", "mxfp4-g32", "int16-channel", "ternary-channel", "binary-g32", "pow2_5-g32", "f8_e5m2-g16", "int4-g32-asym", "int4-g32-wide", "sparse-f16", "2:4-f16", "2:4-int4-g32", "f8_e4m3-channel", "haar8-int8-g32-asym"];

    [Theory]
    [MemberData(nameof(Own))]
    public void Coppices_own_parts_hold_every_kind_bit_for_bit(string kind)
    {
        // Beside it a matrix that no other layout has, and a plain one.
        Weight weight = ProductTests.Make(kind, 4, 96), other = ProductTests.Make("binary-g32", 2, 32), plain = ProductTests.Make("f16", 2, 8);
        (QuantizationLayout layout, JsonObject config) = WriteEntries(new CheckpointEntry(Name, weight), new CheckpointEntry("a.weight", other), new CheckpointEntry("b.weight", plain));
        Assert.Equal((QuantizationLayout.Own, "coppice"), (layout, (string?)config["quant_method"]));
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Equal(["a.weight", "b.weight", Name], read.Names);
        foreach ((string name, Weight wanted) in new[] { (Name, weight), ("a.weight", other), ("b.weight", plain) })
        {
            Weight back = read.ReadWeight(name);
            Assert.Equal((wanted.Kind, wanted.ByteCount), (back.Kind, back.ByteCount));
            Assert.Equal(wanted.ToDense(), back.ToDense());
            Assert.Equal<long>([wanted.Rows, wanted.Columns], read.ShapeOf(name));
        }
    }

    [Fact]
    public void Integers_alone_stay_in_compressed_tensors() =>
        Assert.Equal(QuantizationLayout.CompressedTensors, QuantizationLayouts.For([new CheckpointEntry(Name, ProductTests.Make("int4-g32", 2, 32)), new CheckpointEntry("a.weight", ProductTests.Make("f8_e4m3-channel", 2, 32))]));

    [Fact]
    public void Damaged_files_are_refused_in_one_line()
    {
        WriteEntries(new CheckpointEntry(Name, ProductTests.Make("nf4-g32", 2, 64)), new CheckpointEntry("a.weight", ProductTests.Make("ternary-channel", 2, 32)), new CheckpointEntry("b.weight", ProductTests.Make("int4-g32-asym", 2, 32)));
        Mutations.CheckFolder(folder, ["model.safetensors"], seed: 51, rounds: 400);
    }

    [Fact]
    public void Damaged_files_of_bitsandbytes_are_refused_in_one_line()
    {
        Write(new JsonObject { ["quant_method"] = "bitsandbytes", ["load_in_4bit"] = true }, Nf4([0x6C, 0xD1, 0xF2, 0x5E, 0x80], [0.5f], State));
        Mutations.CheckFolder(folder, ["model.safetensors", "config.json"], seed: 61, rounds: 400);
    }

    [Theory]
    [InlineData("""{"blocksize": 64, "shape": [2, 6]}""", "is U8 of 5 bytes, wanted U8 and 6 for [2, 6]")]
    [InlineData("""{"blocksize": 0, "shape": [2, 5]}""", "no shape of two sizes, or a block size below 1")]
    [InlineData("""{"blocksize": 4, "shape": [2, 5]}""", "absmax' is [1], wanted [3]")]
    [InlineData("nonsense", "is not JSON")]
    public void Parts_that_do_not_fit_are_named(string state, string said)
    {
        Write(new JsonObject { ["quant_method"] = "bitsandbytes", ["load_in_4bit"] = true }, Nf4([0x6C, 0xD1, 0xF2, 0x5E, 0x80], [0.5f], state));
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Contains(said, Assert.Throws<CoppiceException>(() => read.ReadWeight(Name)).Message, StringComparison.Ordinal);
    }

    static TensorSource[] Nf4(byte[] pairs, float[] absmax, string state) =>
        [TensorSource.Raw(Name, DType.U8, [pairs.Length, 1], pairs), TensorSource.Raw(Name + ".absmax", DType.F32, [absmax.Length], absmax), TensorSource.Raw(Name + ".quant_map", DType.F32, [16], LevelTables.Nf4.Levels.ToArray()), StateOf(state)];

    static TensorSource StateOf(string state) => TensorSource.Raw(Name + ".quant_state.bitsandbytes__nf4", DType.U8, [Encoding.UTF8.GetByteCount(state)], Encoding.UTF8.GetBytes(state));

    static Weight Levels(LevelTable table, int group, int rows, int columns)
    {
        Random random = new(3);
        return new LevelWeight(table, ScaleType.Float16, group, rows, columns, [.. Enumerable.Range(0, rows * columns).Select(_ => (byte)random.Next(table.Count))], [.. Enumerable.Range(0, rows * columns / group).Select(_ => (float)(Half)random.NextSingle())]);
    }

    (QuantizationLayout Layout, JsonObject Config) WriteEntries(params CheckpointEntry[] entries)
    {
        QuantizationLayout layout = QuantizationLayouts.For(entries);
        (ImmutableArray<TensorSource> tensors, JsonObject? config) = layout.Encode(entries, DType.F16);
        Write(config!, [.. tensors]);
        return (layout, config!);
    }

    void Write(JsonObject config, params TensorSource[] tensors)
    {
        SafeTensorsWriter.WriteFolder(folder.Path, [.. tensors]);
        File.WriteAllText(folder["config.json"], new JsonObject { ["quantization_config"] = config.DeepClone() }.ToJsonString());
    }
}
