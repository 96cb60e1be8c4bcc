using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Formats;

/// <summary>AWQ's layout against a packer written from the format's description.</summary>
public sealed class AwqTests : IDisposable
{
    const string Module = "model.layers.0.mlp.down_proj", Name = Module + ".weight";

    const int Outputs = 24, Inputs = 96;

    // Four bits i of a word hold output 8 word + this.
    static readonly int[] Places = [0, 2, 4, 6, 1, 3, 5, 7];

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(32, false), InlineData(-1, false), InlineData(48, true)]
    public void A_model_packed_by_hand_is_read_and_written_alike(int groupSize, bool symmetric)
    {
        Random random = new(groupSize);
        int size = groupSize == -1 ? Inputs : groupSize, groups = Inputs / size;
        int[,] codes = new int[Inputs, Outputs], zeros = new int[groups, Outputs];
        Half[] scales = [.. Enumerable.Range(0, groups * Outputs).Select(_ => (Half)random.NextSingle())];
        for (int o = 0; o < Outputs; o++)
        {
            for (int i = 0; i < Inputs; i++)
                codes[i, o] = random.Next(16);
            for (int g = 0; g < groups; g++)
                zeros[g, o] = symmetric ? 8 : random.Next(16);
        }
        SafeTensorsWriter.WriteFile(folder["model.safetensors"],
        [
            TensorSource.Raw(Module + ".qweight", DType.I32, [Inputs, Outputs / 8], Pack(codes)),
            TensorSource.Raw(Module + ".qzeros", DType.I32, [groups, Outputs / 8], Pack(zeros)),
            TensorSource.Raw(Module + ".scales", DType.F16, [groups, Outputs], scales),
            TensorSource.Raw(Module + ".bias", DType.F16, [Outputs], new Half[Outputs]),
        ]);
        File.WriteAllText(folder["config.json"], $$$"""{"quantization_config":{"bits":4,"group_size":{{{groupSize}}},"modules_to_not_convert":null,"quant_method":"awq","version":"gemm","zero_point":true}}""");
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Equal([Module + ".bias", Name], read.Names);
        Assert.Equal([Outputs, Inputs], read.ShapeOf(Name).ToArray());
        IntWeight weight = Assert.IsType<IntWeight>(read.ReadWeight(Name));
        Assert.Equal(symmetric, weight.IsSymmetric);
        float[] dense = weight.ToDense();
        for (int o = 0; o < Outputs; o++)
            for (int i = 0; i < Inputs; i++)
                Assert.Equal((codes[i, o] - zeros[i / size, o]) * (float)scales[i / size * Outputs + o], dense[o * Inputs + i]);

        (var tensors, AwqConfig? config) = AwqTensors.Encode([new(Name, weight), new("lm_head.weight", HalfWeight.From(HalfFormat.Float16, 1, 2, [1, 2]))], DType.F16);
        SafeTensorsWriter.WriteFile(folder["again"], tensors);
        using SafeTensors raw = SafeTensors.Open(folder["again"]);
        Assert.Equal(Pack(codes), raw.Find(Module + ".qweight").ToInts());
        Assert.Equal(Pack(zeros), raw.Find(Module + ".qzeros").ToInts());
        Assert.Equal(scales.Select(scale => (float)scale), raw.ReadTensor(Module + ".scales").Data.ToArray());
        Assert.Equal("""{"bits":4,"group_size":@,"modules_to_not_convert":["lm_head"],"quant_method":"awq","version":"gemm","zero_point":true}""".Replace("@", $"{groupSize}", StringComparison.Ordinal), config!.ToJson().ToJsonString());
    }

    [Theory]
    [InlineData("""{"bits":8,"quant_method":"awq"}""", "bits is 8")]
    [InlineData("""{"version":"gemv","quant_method":"awq"}""", "version is 'gemv'")]
    [InlineData("""{"zero_point":false,"quant_method":"awq"}""", "zero_point is false")]
    [InlineData("""{"group_size":-2,"quant_method":"awq"}""", "group_size is -2")]
    [InlineData("""{"modules_to_not_convert":[1],"quant_method":"awq"}""", "no list of texts")]
    public void What_is_not_read_is_named(string config, string said)
    {
        SafeTensorsWriter.WriteFolder(folder.Path, []);
        File.WriteAllText(folder["config.json"], $$$"""{"quantization_config":{{{config}}}}""");
        Assert.Contains(said, Assert.Throws<CoppiceException>(() => Checkpoint.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_format_has_no_place_for_is_refused()
    {
        Refuses(new IntWeight(8, 32, 8, 32, new byte[256], new Half[8], []), "codes of 8 bits");
        Refuses(new IntWeight(4, 32, 7, 32, new byte[224], new Half[7], []), "7 outputs");
        Refuses(new IntWeight(4, 32, 8, 40, new byte[320], new Half[16], []), "rows of 40 numbers");
        Refuses(new PermutedWeight(new IntWeight(4, 2, 8, 4, new byte[32], new Half[16], []), [0, 2, 1, 3]), "inputs out of order");

        static void Refuses(Weight weight, string said) => Assert.Contains(said, Assert.Throws<CoppiceException>(() => AwqTensors.Encode([new(Name, weight)], DType.F16)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_older_config_beside_the_model_is_read()
    {
        IntWeight weight = new(4, 32, 8, 32, [.. Enumerable.Range(0, 256).Select(i => (byte)(i % 16))], [.. Enumerable.Repeat((Half)1, 8)], []);
        SafeTensorsWriter.WriteFolder(folder.Path, AwqTensors.Encode([new(Name, weight)], DType.F16).Tensors);
        File.WriteAllText(folder["config.json"], """{"model_type":"llama"}""");
        File.WriteAllText(folder["quant_config.json"], """{"zero_point":true,"q_group_size":32,"w_bit":4,"version":"GEMM"}""");
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Equal(weight.ToDense(), read.ReadWeight(Name).ToDense());
    }

    [Fact]
    public void Damaged_files_are_read_or_refused()
    {
        (var tensors, AwqConfig? config) = AwqTensors.Encode([new(Name, new IntWeight(4, 32, 8, 64, new byte[512], new Half[16], new byte[16]))], DType.F16);
        SafeTensorsWriter.WriteFolder(folder.Path, tensors);
        File.WriteAllText(folder["config.json"], new JsonObject { ["quantization_config"] = config!.ToJson() }.ToJsonString());
        Mutations.CheckFolder(folder, ["model.safetensors", "config.json"], seed: 22, rounds: 500);
    }

    static int[] Pack(int[,] values)
    {
        int rows = values.GetLength(0), words = values.GetLength(1) / 8;
        uint[] packed = new uint[rows * words];
        for (int row = 0; row < rows; row++)
            for (int word = 0; word < words; word++)
                for (int i = 0; i < 8; i++)
                    packed[row * words + word] += (uint)values[row, 8 * word + Places[i]] << 4 * i;
        return [.. packed.Select(word => (int)word)];
    }
}
