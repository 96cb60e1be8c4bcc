using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Formats.PyTorch;
using Coppice.Weights;

namespace Coppice.Tests.Models;

/// <summary>One model in every container of a Hugging Face folder.</summary>
public sealed class CheckpointFolderTests : IDisposable
{
    static readonly DecoderConfig Config = TinyLlama.Config with { HiddenSize = 64, IntermediateSize = 96, HeadWidth = 16, VocabularySize = 64, Head = HeadKind.Untied };

    readonly TemporaryFolder folder = new();
    readonly WorkerPool pool = new(1);

    public void Dispose()
    {
        pool.Dispose();
        folder.Dispose();
    }

    [Theory]
    [InlineData(QuantizationLayout.CompressedTensors), InlineData(QuantizationLayout.Gptq), InlineData(QuantizationLayout.Awq)]
    public void A_quantized_model_computes_the_same_from_every_layout(QuantizationLayout layout)
    {
        DecoderModel model = Quantized();
        float[] wanted = Logits(model);
        IReadOnlyList<CheckpointEntry> entries = ModelCheckpoint.Entries(model);
        (var tensors, JsonObject? config) = layout.Encode(entries, DType.F32);
        WriteConfig(config);
        SafeTensorsWriter.WriteFolder(folder.Path, tensors, options: new WritingOptions { ShardBytes = 20_000 });
        Assert.True(File.Exists(folder["model.safetensors.index.json"]));
        DecoderModel read = (DecoderModel)ModelFolder.Load(folder.Path);
        Assert.Equal("int4-g32-asym", read.Matrices().First(part => part.Name.EndsWith("up_proj", StringComparison.Ordinal)).Layer.Weight.Kind);
        Assert.Equal(wanted, Logits(read));
        DecoderModel open = (DecoderModel)ModelFolder.Open(folder.Path, out ICheckpoint checkpoint);
        using (checkpoint)
            Assert.All(open.Matrices().Zip(model.Matrices()), pair => Assert.Equal(pair.Second.Layer.Weight.ToDense(), pair.First.Layer.Weight.ToDense()));
    }

    [Theory]
    [InlineData(0f, null), InlineData(1e-6f, "has no use for 1 of its tensors: model.layers.0.mlp.up_proj.bias")]
    public void Biases_of_zero_that_AutoGPTQ_added_are_passed_over(float last, string? said)
    {
        DecoderModel model = Quantized();
        (var tensors, GptqConfig? config) = GptqTensors.Encode(ModelCheckpoint.Entries(model), DType.F32);
        SafeTensorsWriter.WriteFolder(folder.Path, tensors.Add(TensorSource.Floats("model.layers.0.mlp.up_proj.bias", DType.F32, Tensor.From([3], [0, 0, last]))));
        WriteConfig(config!.ToJson());
        if (said is null)
            Assert.Equal(Logits(model), Logits((DecoderModel)ModelFolder.Load(folder.Path)));
        else
            Assert.Contains(said, Assert.Throws<CoppiceException>(() => (DecoderModel)ModelFolder.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plain_model_computes_the_same_from_PyTorchs_file()
    {
        DecoderModel model = Coppice.Training.Initialization.Random(Config, seed: 3);
        PickleWriter writer = new PickleWriter().Raw('}', '(');
        Dictionary<string, byte[]> storages = [];
        foreach (CheckpointEntry entry in ModelCheckpoint.Entries(model))
        {
            float[] numbers = entry.Weight?.ToDense() ?? entry.Tensor!.Data.ToArray();
            // Matrices turned around their diagonals, so that they have to be turned back.
            if (entry.Weight is { } weight)
            {
                float[] turned = new float[numbers.Length];
                for (int i = 0; i < numbers.Length; i++)
                    turned[i % weight.Columns * weight.Rows + i / weight.Columns] = numbers[i];
                writer.Text(entry.Name).Tensor("FloatStorage", entry.Name, numbers.Length, 0, [weight.Rows, weight.Columns], [1, weight.Rows]);
                numbers = turned;
            }
            else
                writer.Text(entry.Name).Tensor("FloatStorage", entry.Name, numbers.Length, 0, [numbers.Length], [1]);
            storages[entry.Name] = MemoryMarshal.AsBytes(numbers.AsSpan()).ToArray();
        }
        PickleWriter.Zip(folder["pytorch_model.bin"], writer.Raw('u').Done(), storages);
        WriteConfig(null);
        Assert.Equal(Logits(model), Logits((DecoderModel)ModelFolder.Load(folder.Path)));
    }

    static DecoderModel Quantized()
    {
        DecoderModel model = Coppice.Training.Initialization.Random(Config, seed: 3);
        Random random = new(4);
        foreach ((string name, MatrixLayer layer) in model.Matrices().Where(part => part.Name.EndsWith("proj", StringComparison.Ordinal)))
        {
            (int rows, int columns) = (layer.Weight.Rows, layer.Weight.Columns);
            byte[] codes = [.. Enumerable.Range(0, rows * columns).Select(_ => (byte)random.Next(16))], zeros = [.. Enumerable.Range(0, rows * columns / 32).Select(_ => (byte)random.Next(1, 16))];
            layer.Weight = new IntWeight(4, 32, rows, columns, codes, [.. zeros.Select(_ => (Half)(random.NextSingle() * 0.02f))], zeros);
        }
        return model;
    }

    float[] Logits(DecoderModel model) => model.Forward(new Batch([5, 10, 42, 7, 27]), new ForwardContext(pool)).Data.ToArray();

    void WriteConfig(JsonObject? quantization)
    {
        JsonObject json = DecoderFolder.Config(Config, DType.F32, 1, 2);
        json[CompressionConfig.Key] = quantization;
        File.WriteAllText(folder["config.json"], json.ToJsonString());
    }
}
