using System.Runtime.InteropServices;
using Coppice.Compression;
using Coppice.Export;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Models.Families;
using Coppice.Text;

namespace Coppice.Interop;

/// <summary>A text, and its logits by Coppice, of a model that was written as ONNX.</summary>
/// <param name="Folder">The folder with onnx/model.onnx.</param>
/// <param name="Family">The model's family, and what is special of it.</param>
/// <param name="Weights">How the matrices of its blocks were stored: f32, or integers.</param>
/// <param name="Type">What the graph was asked for: f32, f16, f32-qdq.</param>
/// <param name="Logits">A file of float32 [tokens, vocabulary], little-endian.</param>
/// <param name="Text">Ids.</param>
/// <param name="Layers">Blocks, each with a cache.</param>
/// <param name="Heads">Key-value heads.</param>
/// <param name="HeadWidth">Numbers a head.</param>
/// <param name="Vocabulary">Ids.</param>
sealed record OnnxRun(string Folder, string Family, string Weights, string Type, string Logits, int[] Text, int Layers, int Heads, int HeadWidth, int Vocabulary)
{
    // One at a time after the first tokens, past the windows of the windowed families.
    static readonly int[] text = [3, 17, 0, 5, 5, 111, 2, 8, 214, 1, 256, 4, 90, 33, 7, 12];

    static readonly (string Name, string Options)[] grids =
    [
        ("int4-g32", "bits: 4, groupSize: 32, ignore: '*down_proj'"), ("int4-g16-asym", "bits: 4, groupSize: 16, symmetric: false"),
        ("int8-g32", "bits: 8, groupSize: 32, ignore: '*down_proj'"), ("int8-channel", "bits: 8, groupSize: -1"),
    ];

    /// <summary>Every family as float32 and float16, and the common ones with integers by both operations.</summary>
    public static IEnumerable<OnnxRun> Record(string output, WorkerPool pool)
    {
        Tokenizer tokenizer = BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = RandomCheckpoint.Vocabulary });
        foreach (string family in RandomCheckpoint.Families)
        {
            RandomCheckpoint checkpoint = new(family);
            // Mixtures of experts are not written as ONNX.
            if (checkpoint.Config.Any(field => field.Key.EndsWith("_experts", StringComparison.Ordinal)))
                continue;
            string plain = Path.Combine(output, "onnx", family, "f32");
            Directory.CreateDirectory(plain);
            checkpoint.Write(plain);
            tokenizer.Save(plain);
            yield return Record(output, plain, family, "f32", "f32", pool);
            yield return Record(output, plain, family, "f32", "f16", pool);
            if (family is not ("llama" or "gpt2" or "gpt_neox" or "gemma2" or "qwen3"))
                continue;
            foreach ((string name, string options) in grids)
            {
                LanguageModel packed = LanguageModel.Load(plain);
                // gemma2's heads of 10 numbers leave an output matrix that is no whole number of groups.
                string targets = family == "gemma2" ? "*.up_proj" : "model.layers.*";
                new CompressionPipeline(RecipeReader.Parse($"name: {name}\nsteps:\n  - roundToNearest: {{ {options}, targets: '{targets}' }}\n", name), pool).Run(packed.Model, []);
                // Integers cannot be stored with inputs and outputs exchanged, as gpt2's folder has them, but in a GGUF of whole blocks.
                string folder = Path.Combine(output, "onnx", family, name);
                if (family == "gpt2")
                {
                    if (name is not ("int4-g32" or "int8-g32"))
                        continue;
                    packed.SaveGguf(folder += ".gguf");
                }
                else
                    packed.Save(folder, DType.F32);
                yield return Record(output, folder, family, name, "f32", pool);
                yield return Record(output, folder, family, name, "f32-qdq", pool);
            }
        }
    }

    static OnnxRun Record(string output, string source, string family, string weights, string type, WorkerPool pool)
    {
        string name = $"{family}-{weights}-{type}", folder = Path.Combine("onnx", name), logits = Path.Combine("onnx", name + ".logits");
        new Conversion(new ConversionOptions { Format = ModelFormat.Onnx, Type = type }, pool).Run(source, Path.Combine(output, folder));
        DecoderModel model = (DecoderModel)LanguageModel.Load(source).Model;
        Tensor computed = model.Forward(new Batch(text), new ForwardContext(pool));
        using FileStream stream = File.Create(Path.Combine(output, logits));
        stream.Write(MemoryMarshal.AsBytes(computed.Data));
        DecoderConfig config = model.Config;
        return new OnnxRun(folder, family, weights, type, logits, text, config.LayerCount, config.KeyValueHeadCount, config.HeadWidth, config.VocabularySize);
    }
}
