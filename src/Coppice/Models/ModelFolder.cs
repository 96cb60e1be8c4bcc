using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>A model in Hugging Face's layout: config.json beside safetensors or another container.</summary>
static class ModelFolder
{
    /// <summary>Reads a folder. Every tensor that the settings call for must be there with its shape, and no other.</summary>
    /// <exception cref="CoppiceException">A file is absent, damaged, or asks for what the family does not do.</exception>
    public static Model Load(string folder)
    {
        using ICheckpoint checkpoint = Checkpoint.Open(folder);
        return Build(folder, checkpoint, WeightReading.Whole);
    }

    /// <summary>The same with matrices left in their files, which have to stay open.</summary>
    public static Model Open(string folder, out ICheckpoint checkpoint)
    {
        checkpoint = Checkpoint.Open(folder, WeightReading.OnDemand);
        return Build(folder, checkpoint, WeightReading.OnDemand);
    }

    static Model Build(string folder, ICheckpoint checkpoint, WeightReading reading)
    {
        string path = Path.Combine(folder, Checkpoint.ConfigName);
        using JsonDocument document = JsonFile.Read(path);
        JsonFields json = new(path, document.RootElement);
        if (json.Text("model_type", "") == Marian.Name)
        {
            TranslationConfig config = Marian.Read(json);
            config.Validate(path);
            return ModelCheckpoint.Build(config.Family, checkpoint, (matrix, vector) => new TranslationModel(config, matrix, vector), name => Marian.InFolder(name, config), Marian.MayStay, reading);
        }
        return EncoderFamily.Of(json) is { } encoder
            ? EncoderFolder.Build(encoder, json, checkpoint, reading)
            : DecoderCheckpoint.Build(DecoderFolder.ReadConfig(json), checkpoint, reading);
    }

    /// <summary>Writes config.json and the safetensors into <paramref name="folder"/>. Vectors, and matrices that are float32 or in blocks, become <paramref name="dtype"/>; other kinds stay as they are (see <see cref="QuantizationLayouts.For"/>).</summary>
    public static void Save(Model model, string folder, DType dtype, int? bos, int? eos)
    {
        CheckpointEntry[] entries = [.. Stored(model, weight => weight).Select(tensor => tensor.Entry)];
        (ImmutableArray<TensorSource> tensors, JsonObject? quantization) = QuantizationLayouts.For(entries).Encode(entries, dtype);
        JsonObject json = Config(model, dtype, bos, eos);
        if (quantization is not null)
            json[CompressionConfig.Key] = quantization;
        AtomicFile.Write(Path.Combine(folder, Checkpoint.ConfigName), stream =>
        {
            using Utf8JsonWriter writer = new(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
            json.WriteTo(writer);
        });
        SafeTensorsWriter.WriteFolder(folder, tensors, new Dictionary<string, string> { ["format"] = "pt" });
    }

    /// <summary>Every tensor as a folder of the model's family stores it, and which of ours it holds; <paramref name="exact"/> may give a matrix a form of the folder's own first.</summary>
    public static IReadOnlyList<(CheckpointEntry Entry, IReadOnlyList<string> Ours)> Stored(Model model, Func<Weight, Weight> exact) => ModelCheckpoint.Stored(model, Places(model), exact);

    /// <summary>Where a folder of the model's family has each tensor of ours.</summary>
    public static Func<string, TensorPlace> Places(Model model) => model switch
    {
        EncoderModel encoder => EncoderFolder.Places(encoder.Config),
        TranslationModel translation => name => Marian.InFolder(name, translation.Config),
        _ => DecoderFolder.Places(((DecoderModel)model).Config),
    };

    /// <summary>What config.json says; <paramref name="dtype"/> names the type of what is not quantized.</summary>
    public static JsonObject Config(Model model, DType dtype, int? bos, int? eos) => Finish(model switch
    {
        EncoderModel encoder => EncoderFolder.Config(encoder.Config),
        TranslationModel translation => Marian.Write(translation.Config),
        _ => DecoderFolder.Config(((DecoderModel)model).Config),
    }, dtype, bos, eos);

    /// <summary>Adds the number type of what is not quantized, and the tokens.</summary>
    internal static JsonObject Finish(JsonObject json, DType dtype, int? bos, int? eos)
    {
        json["torch_dtype"] = dtype switch { DType.F16 => "float16", DType.BF16 => "bfloat16", _ => "float32" };
        // A family whose generation needs its own says so itself.
        json.TryAdd("bos_token_id", bos);
        json.TryAdd("eos_token_id", eos);
        return json;
    }
}
