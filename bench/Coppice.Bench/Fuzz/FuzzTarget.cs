using System.Runtime.InteropServices;
using Coppice.Compression;
using Coppice.Formats;
using Coppice.Formats.PyTorch;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Cli;
using Coppice.Tests.Formats;
using Coppice.Tests.Formats.PyTorch;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Bench.Fuzz;

/// <summary>A file that is good, beside others that it needs, and who reads it.</summary>
/// <param name="Path">The file that is damaged.</param>
/// <param name="Read">Reads it, and what lies beside it, to the last number.</param>
sealed record FuzzTarget(string Path, Action Read)
{
    /// <summary>Its name in what is printed.</summary>
    public string Name => $"{System.IO.Path.GetFileName(System.IO.Path.GetDirectoryName(Path))}/{System.IO.Path.GetFileName(Path)}";

    /// <summary>The undamaged bytes.</summary>
    public byte[] Good { get; } = File.ReadAllBytes(Path);

    /// <summary>Every container that Coppice reads, in folders below <paramref name="folder"/>; the matrices are small, so that a run is short.</summary>
    public static IReadOnlyList<FuzzTarget> All(TemporaryFolder folder)
    {
        using TinyFolder tiny = new(layers: 1);
        LanguageModel language = tiny.Language;
        string Place(string container, string file) => System.IO.Path.Combine(Directory.CreateDirectory(folder[container]).FullName, file);

        string model = folder["model"];
        language.Save(model);
        string gguf = Place("gguf", "model.gguf"), blocks = Place("gguf", "blocks.gguf"), llama2C = Place("llama2c", "model.bin");
        language.SaveGguf(gguf);
        WriteBlocks(blocks);
        language.SaveLlama2C(llama2C);
        string importance = Place("imatrix", "a.gguf"), dat = Place("imatrix", "a.dat");
        new ImportanceMatrix(["text"], 2, 64, System.Collections.Immutable.ImmutableSortedDictionary<string, InputImportance>.Empty.Add("blk.0.attn_q.weight", new InputImportance([1, 2, 3, 4], [7, 9]))).Write(importance);
        WriteDat(dat);
        string pickle = Place("pytorch", "pytorch_model.bin");
        PickleWriter.Zip(pickle, new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", 12, 0, [3, 4], [4, 1]).Raw('s').Done(), new Dictionary<string, byte[]> { ["0"] = new byte[48] });
        SafeTensorsWriter.WriteFolder(Directory.CreateDirectory(folder["shards"]).FullName, [TensorSource.Raw("a", DType.F32, [2, 2], new float[4]), TensorSource.Raw("b", DType.F16, [4], new Half[4])], options: new WritingOptions { ShardBytes = 16 });
        string recipe = Place("recipe", "recipe.yaml");
        File.WriteAllText(recipe, Presets.Get("2:4-int4").ToYaml());

        List<FuzzTarget> targets =
        [
            .. new[] { "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json" }.Select(file => new FuzzTarget(System.IO.Path.Combine(model, file), () => LanguageModel.Load(model))),
            new(gguf, () => LanguageModel.Load(gguf)),
            new(blocks, () => ReadAll(Gguf.Open(blocks))),
            new(importance, () => ImportanceMatrix.Read(importance)),
            new(dat, () => ImportanceMatrix.Read(dat)),
            new(llama2C, () => LanguageModel.Load(llama2C, model)),
            new(pickle, () => ReadAll(PyTorchCheckpoint.Open(pickle))),
            .. Directory.GetFiles(folder["shards"]).Order().Select(file => new FuzzTarget(file, () => ReadAll(Checkpoint.Open(folder["shards"])))),
            new(recipe, () => RecipeReader.ReadFile(recipe)),
        ];
        foreach (QuantizationLayout layout in Enum.GetValues<QuantizationLayout>())
        {
            string packed = Directory.CreateDirectory(folder[layout.ToString()]).FullName;
            WritePacked(packed, layout);
            targets.AddRange(Directory.GetFiles(packed).Order().Select(file => new FuzzTarget(file, () => ReadAll(Checkpoint.Open(packed)))));
        }
        return targets;
    }

    static void ReadAll(ICheckpoint checkpoint)
    {
        using (checkpoint)
            foreach (string name in checkpoint.Names)
            {
                checkpoint.ShapeOf(name);
                checkpoint.ReadTensor(name);
            }
    }

    static void WriteBlocks(string path)
    {
        float[] numbers = [.. Enumerable.Range(0, 256).Select(i => MathF.Sin(i))];
        DenseWeight matrix = new(Tensor.From([1, 256], numbers));
        GgufWriter.Write(path, [new("general.architecture", "none"), new("list", new[] { "a", "b" })],
            [.. GgmlType.All.Where(type => type.Blocks is not null || type.Name is "F32" or "F16" or "BF16").Select(type => new GgufWriter.Source(new(type.Name, matrix), type))]);
    }

    static void WriteDat(string path)
    {
        using BinaryWriter writer = new(File.Create(path));
        writer.Write(1);
        writer.Write(5);
        writer.Write("blk.0"u8);
        writer.Write(3);
        writer.Write(4);
        writer.Write(MemoryMarshal.AsBytes<float>([1, 2, 3, 4]));
        writer.Write(3);
        writer.Write(4);
        writer.Write("text"u8);
    }

    static void WritePacked(string folder, QuantizationLayout layout)
    {
        IntWeight weight = new(4, 32, 32, 64, new byte[32 * 64], [.. Enumerable.Repeat((Half)0.5f, 64)], []);
        (var tensors, var config) = layout.Encode([new("a.weight", weight)], DType.F16);
        SafeTensorsWriter.WriteFile(System.IO.Path.Combine(folder, "model.safetensors"), tensors);
        File.WriteAllText(System.IO.Path.Combine(folder, "config.json"), new System.Text.Json.Nodes.JsonObject { ["quantization_config"] = config }.ToJsonString());
    }
}
