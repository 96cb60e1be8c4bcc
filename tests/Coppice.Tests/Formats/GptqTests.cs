using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Formats;

/// <summary>GPTQ's layout against a packer written from the format's description, bit by bit.</summary>
public sealed class GptqTests : IDisposable
{
    const string Module = "model.layers.0.self_attn.q_proj", Name = Module + ".weight";

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<int, int, bool, bool, string> Models => new()
    {
        { 4, 32, true, false, "gptq" }, { 4, 32, true, true, "gptq" }, { 4, 32, false, true, "gptq_v2" }, { 4, -1, false, false, "gptq_v2" }, { 2, 16, true, true, "gptq_v2" }, { 2, 32, false, false, "gptq" },
        { 3, 32, true, true, "gptq" }, { 3, 64, false, false, "gptq" }, { 3, -1, false, true, "gptq_v2" }, { 8, 64, true, true, "gptq" }, { 8, 32, false, false, "gptq" }, { 8, 32, false, true, "gptq_v2" },
    };

    [Theory]
    [MemberData(nameof(Models))]
    public void A_model_packed_by_hand_is_read_with_its_numbers(int bits, int groupSize, bool symmetric, bool actOrder, string format)
    {
        Packed model = new(bits, groupSize, outputs: 64, inputs: 128, symmetric, actOrder, lowestZero: format == "gptq" ? 1 : 0);
        model.Write(folder, format);
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Equal([Name], read.Names);
        Assert.Equal([64L, 128], read.ShapeOf(Name).ToArray());
        Weight weight = read.ReadWeight(Name);
        Assert.Equal(model.Dense, weight.ToDense());
        Assert.Equal(model.Dense, read.ReadTensor(Name).Data.ToArray());
        string kind = $"int{bits}-{(groupSize == -1 ? "channel" : $"g{groupSize}")}{(symmetric ? "" : "-asym")}";
        Assert.Equal(actOrder && groupSize != -1 ? kind + "-permuted" : kind, weight.Kind);
        using WorkerPool pool = new(2);
        float[] x = [.. Enumerable.Range(0, 3 * 128).Select(i => MathF.Sin(i))], y = new float[3 * 64];
        weight.Multiply(pool, new Rows(x, 3, 128), new Rows(y, 3, 64));
        for (int i = 0; i < y.Length; i++)
        {
            double wanted = Enumerable.Range(0, 128).Sum(k => (double)x[i / 64 * 128 + k] * model.Dense[i % 64 * 128 + k]);
            Assert.True(Math.Abs(wanted - y[i]) < 1e-3, $"{y[i]}, wanted {wanted}");
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void What_is_written_is_the_documented_layout_and_comes_back(int bits, int groupSize, bool symmetric, bool actOrder, string format)
    {
        Packed model = new(bits, groupSize, outputs: 64, inputs: 128, symmetric, actOrder, lowestZero: format == "gptq" ? 1 : 0);
        model.Write(folder, format);
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        (var tensors, GptqConfig? config) = GptqTensors.Encode([new(Name, read.ReadWeight(Name)), new("model.norm.weight", new Tensor([8]))], DType.F16, format == "gptq" ? GptqVersion.V1 : GptqVersion.V2);
        using TemporaryFolder other = new();
        SafeTensorsWriter.WriteFolder(other.Path, tensors);
        using SafeTensors raw = SafeTensors.Open(other.Path);
        Assert.Equal(model.Codes(), raw.Find(Module + ".qweight").ToInts());
        Assert.Equal([128 * bits / 32, 64], raw.ShapeOf(Module + ".qweight").ToArray());
        Assert.Equal(model.Zeros(format), raw.Find(Module + ".qzeros").ToInts());
        Assert.Equal(model.GroupOf, raw.Find(Module + ".g_idx").ToInts());
        Assert.Equal(model.Scales().Select(scale => (float)scale), raw.ReadTensor(Module + ".scales").Data.ToArray());
        Assert.Contains("model.norm.weight", raw.Names);
        JsonObject json = config!.ToJson();
        Assert.Equal((bits, groupSize, symmetric, actOrder && groupSize != -1, format, "gptq"),
            ((int)json["bits"]!, (int)json["group_size"]!, (bool)json["sym"]!, (bool)json["desc_act"]!, (string?)json["checkpoint_format"], (string?)json["quant_method"]));
    }

    [Fact]
    public void Symmetric_zero_points_are_the_well_known_words()
    {
        foreach ((GptqVersion version, uint word) in new[] { (GptqVersion.V1, 0x77777777u), (GptqVersion.V2, 0x88888888u) })
        {
            SafeTensorsWriter.WriteFolder(folder.Path, GptqTensors.Encode([new(Name, new IntWeight(4, 32, 8, 32, new byte[256], new Half[8], []))], DType.F16, version).Tensors);
            using SafeTensors raw = SafeTensors.Open(folder.Path);
            Assert.Equal([(int)word], raw.Find(Module + ".qzeros").ToInts());
        }
    }

    [Fact]
    public void The_second_version_is_taken_where_the_first_has_no_place_for_a_zero_point()
    {
        IntWeight weight = new(4, 32, 8, 32, new byte[256], new Half[8], [0, 1, 2, 3, 4, 5, 6, 7]);
        Assert.Equal(GptqVersion.V2, GptqTensors.Encode([new(Name, weight)], DType.F16).Config!.Version);
        Assert.Contains("the zero point 0", Assert.Throws<CoppiceException>(() => GptqTensors.Encode([new(Name, weight)], DType.F16, GptqVersion.V1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Borrows_between_zero_points_are_undone()
    {
        // 0x88888880 less one each, as one difference of the word.
        Packed model = new(4, 32, outputs: 8, inputs: 32, symmetric: false, actOrder: false, lowestZero: 1);
        model.Write(folder, "gptq", zeros: [unchecked(0x88888880u - 0x11111111u)]);
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Equal([0, 8, 8, 8, 8, 8, 8, 8], Assert.IsType<IntWeight>(read.ReadWeight(Name)).Zeros.ToArray());
    }

    [Fact]
    public void GptqModels_own_three_bit_zero_points_are_read()
    {
        // A zero point of 4 everywhere is the stream 100100...; GPTQModel takes 0x24924924, 0x92492492 and 0x49249249 from its words.
        Packed model = new(3, 32, outputs: 32, inputs: 32, symmetric: true, actOrder: false, lowestZero: 1);
        uint[] plain = [0x24924924, 0x49249249, 0x92492492], taken = [0x24924924, 0x92492492, 0x49249249];
        Assert.Equal(plain, model.Zeros("gptq_v2").Select(word => (uint)word));
        model.Write(folder, "gptq", [.. plain.Zip(taken, (word, less) => unchecked(word - less))]);
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Equal(model.Dense, read.ReadWeight(Name).ToDense());
    }

    [Fact]
    public void Layers_that_differ_are_told_by_dynamic()
    {
        CheckpointEntry[] entries =
        [
            new("model.layers.0.a.weight", new IntWeight(4, 32, 32, 64, new byte[2048], new Half[64], [])),
            new("model.layers.0.b.weight", new IntWeight(4, 32, 32, 64, new byte[2048], new Half[64], [])),
            new("model.layers.0.c.weight", new IntWeight(8, 64, 32, 64, [.. Enumerable.Repeat((byte)130, 2048)], [.. Enumerable.Repeat((Half)2, 32)], [])),
            new("model.layers.0.d.weight", HalfWeight.From(HalfFormat.BFloat16, 2, 2, [1, 2, 3, 4])),
        ];
        (var tensors, GptqConfig? config) = GptqTensors.Encode(entries, DType.F16);
        Save(tensors, config!.ToJson());
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Equal(["int4-g32", "int4-g32", "int8-g64", "bf16"], entries.Select(entry => read.ReadWeight(entry.Name).Kind));
        Assert.All(entries, entry => Assert.Equal(entry.Weight!.ToDense(), read.ReadWeight(entry.Name).ToDense()));
        Assert.NotNull(config.ToJson()["dynamic"]![@"-:model\.layers\.0\.d$"]);
    }

    [Fact]
    public void A_folder_as_AutoGPTQ_left_it_is_read()
    {
        Packed model = new(4, 32, outputs: 64, inputs: 128, symmetric: true, actOrder: true, lowestZero: 1);
        model.Write(folder, "gptq");
        File.Move(folder["model.safetensors"], folder["gptq_model-4bit-32g.safetensors"]);
        File.Delete(folder["config.json"]);
        File.WriteAllText(folder["quantize_config.json"], """{"bits":4,"group_size":32,"damp_percent":0.1,"desc_act":true,"sym":true,"true_sequential":true,"model_name_or_path":null,"model_file_base_name":null}""");
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Equal(model.Dense, read.ReadWeight(Name).ToDense());
    }

    [Theory]
    [InlineData("""{"bits":5,"group_size":32,"quant_method":"gptq"}""", "bits is 5")]
    [InlineData("""{"bits":4,"group_size":0,"quant_method":"gptq"}""", "group_size is 0")]
    [InlineData("""{"bits":4,"group_size":32,"quant_method":"gptq","checkpoint_format":"marlin"}""", "checkpoint_format is 'marlin'")]
    [InlineData("""{"bits":4,"group_size":32,"quant_method":"gptq","pack_dtype":"int8"}""", "pack_dtype is 'int8'")]
    [InlineData("""{"bits":4,"group_size":32,"quant_method":"gptq","dynamic":{"+:(a":{"bits":8}}}""", "no pattern")]
    [InlineData("""{"group_size":32,"quant_method":"gptq"}""", "has no 'bits'")]
    [InlineData("""{"quant_method":"hqq"}""", "stored by 'hqq'")]
    [InlineData("""{"quant_method":"bitsandbytes","load_in_8bit":true}""", "in 8 bits is not read")]
    public void What_is_not_read_is_named(string config, string said)
    {
        SafeTensorsWriter.WriteFolder(folder.Path, []);
        File.WriteAllText(folder["config.json"], $$$"""{"quantization_config":{{{config}}}}""");
        Assert.Contains(said, Assert.Throws<CoppiceException>(() => Checkpoint.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Parts_that_do_not_fit_are_named()
    {
        Packed model = new(4, 32, outputs: 8, inputs: 64, symmetric: true, actOrder: false, lowestZero: 1);
        model.Write(folder, "gptq", zeros: [0x77777777, 0x77777776]);
        Refuses("the config says sym");
        model.GroupOf[0] = 1;
        model.Write(folder, "gptq");
        Refuses(".g_idx' does not put 64 inputs into groups of 32");
        model.GroupOf[0] = 7;
        model.Write(folder, "gptq");
        Refuses("does not put");

        void Refuses(string said)
        {
            using ICheckpoint read = Checkpoint.Open(folder.Path);
            Assert.Contains(said, Assert.Throws<CoppiceException>(() => read.ReadWeight(Name)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Damaged_files_are_read_or_refused()
    {
        new Packed(4, 32, outputs: 8, inputs: 64, symmetric: true, actOrder: true, lowestZero: 1).Write(folder, "gptq");
        Mutations.CheckFolder(folder, ["model.safetensors", "config.json"], seed: 21, rounds: 700);
    }

    void Save(IEnumerable<TensorSource> tensors, JsonObject config)
    {
        SafeTensorsWriter.WriteFolder(folder.Path, tensors);
        File.WriteAllText(folder["config.json"], new JsonObject { ["quantization_config"] = config }.ToJsonString());
    }

    /// <summary>One random layer, packed as the format's description says: bit j of code (input i, output o) is bit (i bits + j) of column o's stream.</summary>
    sealed class Packed
    {
        readonly int bits, groupSize, groups, outputs, inputs;
        readonly bool symmetric;
        readonly int[,] codes, zeros;
        readonly Half[,] scales;

        public Packed(int bits, int groupSize, int outputs, int inputs, bool symmetric, bool actOrder, int lowestZero)
        {
            (this.bits, this.groupSize, this.outputs, this.inputs, this.symmetric) = (bits, groupSize, outputs, inputs, symmetric);
            Random random = new(bits * 100 + groupSize);
            int size = groupSize == -1 ? inputs : groupSize;
            groups = inputs / size;
            GroupOf = [.. Enumerable.Range(0, inputs).Select(i => i / size)];
            if (actOrder)
                random.Shuffle(GroupOf);
            (codes, zeros, scales) = (new int[inputs, outputs], new int[groups, outputs], new Half[groups, outputs]);
            for (int o = 0; o < outputs; o++)
            {
                for (int i = 0; i < inputs; i++)
                    codes[i, o] = random.Next(1 << bits);
                for (int g = 0; g < groups; g++)
                    (zeros[g, o], scales[g, o]) = (symmetric ? 1 << bits - 1 : random.Next(lowestZero, 1 << bits), (Half)(random.NextSingle() * 0.1f));
            }
            Dense = new float[outputs * inputs];
            for (int o = 0; o < outputs; o++)
                for (int i = 0; i < inputs; i++)
                    Dense[o * inputs + i] = (float)scales[GroupOf[i], o] * (codes[i, o] - zeros[GroupOf[i], o]);
        }

        public float[] Dense { get; }

        public int[] GroupOf { get; }

        public int[] Codes()
        {
            uint[] words = new uint[inputs * bits / 32 * outputs];
            for (int o = 0; o < outputs; o++)
                for (int i = 0; i < inputs; i++)
                    for (int j = 0; j < bits; j++)
                        if ((codes[i, o] >> j & 1) != 0)
                            words[(i * bits + j) / 32 * outputs + o] |= 1u << (i * bits + j) % 32;
            return [.. words.Select(word => (int)word)];
        }

        public int[] Zeros(string format)
        {
            int perGroup = outputs * bits / 32;
            uint[] words = new uint[groups * perGroup];
            for (int g = 0; g < groups; g++)
                for (int o = 0; o < outputs; o++)
                    for (int j = 0; j < bits; j++)
                        if ((zeros[g, o] - (format == "gptq" ? 1 : 0) >> j & 1) != 0)
                            words[g * perGroup + (o * bits + j) / 32] |= 1u << (o * bits + j) % 32;
            return [.. words.Select(word => (int)word)];
        }

        public IEnumerable<Half> Scales() => scales.Cast<Half>();

        public void Write(TemporaryFolder folder, string format, uint[]? zeros = null)
        {
            SafeTensorsWriter.WriteFile(folder["model.safetensors"],
            [
                TensorSource.Raw(Module + ".qweight", DType.I32, [inputs * bits / 32, outputs], Codes()),
                TensorSource.Raw(Module + ".qzeros", DType.I32, [groups, outputs * bits / 32], zeros?.Select(word => (int)word).ToArray() ?? Zeros(format)),
                TensorSource.Raw(Module + ".scales", DType.F16, [groups, outputs], Scales().ToArray()),
                TensorSource.Raw(Module + ".g_idx", DType.I32, [inputs], GroupOf),
            ]);
            File.WriteAllText(folder["config.json"], new JsonObject
            {
                ["model_type"] = "llama",
                ["quantization_config"] = new JsonObject
                {
                    ["bits"] = bits,
                    ["group_size"] = groupSize,
                    ["sym"] = symmetric,
                    ["desc_act"] = true,
                    ["checkpoint_format"] = format,
                    ["quant_method"] = "gptq",
                    ["pack_dtype"] = "int32",
                    ["lm_head"] = false,
                    ["meta"] = new JsonObject { ["quantizer"] = new JsonArray("some:1.0"), ["mse"] = 0.0 },
                },
            }.ToJsonString());
        }
    }
}
