using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>A model in Hugging Face's layout: config.json beside safetensors or another container.</summary>
static class DecoderFolder
{
    /// <summary>Reads a folder. Every tensor that the sizes call for must be there with its shape, and no other.</summary>
    /// <exception cref="CoppiceException">A file is absent, damaged, or asks for what the family does not do.</exception>
    public static DecoderModel Load(string folder)
    {
        DecoderConfig config = ReadConfig(folder);
        using ICheckpoint checkpoint = Checkpoint.Open(folder);
        return DecoderCheckpoint.Build(config, checkpoint);
    }

    /// <summary>The same with matrices left in their files, which have to stay open.</summary>
    public static DecoderModel Open(string folder, out ICheckpoint checkpoint)
    {
        DecoderConfig config = ReadConfig(folder);
        checkpoint = Checkpoint.Open(folder, WeightReading.OnDemand);
        return DecoderCheckpoint.Build(config, checkpoint, WeightReading.OnDemand);
    }

    static DecoderConfig ReadConfig(string folder)
    {
        string path = Path.Combine(folder, "config.json");
        using JsonDocument json = JsonFile.Read(path);
        return ReadConfig(new JsonFields(path, json.RootElement));
    }

    /// <summary>Reads config.json's fields, refusing what the family here does not compute.</summary>
    public static DecoderConfig ReadConfig(JsonFields json)
    {
        DecoderConfig config = Family.Of(json).Read(json);
        config.Validate(json.Path);
        return config;
    }

    /// <summary>Writes config.json and the safetensors into <paramref name="folder"/>. Vectors, and matrices that are float32 or in blocks, become <paramref name="dtype"/>; other kinds stay as they are (compressed-tensors).</summary>
    public static void Save(DecoderModel model, string folder, DType dtype, int? bos, int? eos)
    {
        (ImmutableArray<TensorSource> tensors, CompressionConfig? compression) = CompressedTensors.Encode(StoredEntries(model), dtype);
        JsonObject json = Config(model.Config, dtype, bos, eos);
        if (compression is not null)
            json[CompressionConfig.Key] = compression.ToJson();
        AtomicFile.Write(Path.Combine(folder, "config.json"), stream =>
        {
            using Utf8JsonWriter writer = new(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
            json.WriteTo(writer);
        });
        SafeTensorsWriter.WriteFolder(folder, tensors, new Dictionary<string, string> { ["format"] = "pt" });
    }

    /// <summary>Every tensor as a folder of the model's family stores it.</summary>
    public static IReadOnlyList<CheckpointEntry> StoredEntries(DecoderModel model)
    {
        Family family = Family.Of(model.Config);
        return [.. DecoderCheckpoint.Stored(model, name => family.InFolder(name, model.Config), weight => weight).Select(tensor => tensor.Entry)];
    }

    /// <summary>What config.json says; <paramref name="dtype"/> names the type of what is not quantized.</summary>
    public static JsonObject Config(DecoderConfig config, DType dtype, int? bos, int? eos)
    {
        Family family = Family.Of(config);
        JsonObject json = new() { ["architectures"] = new JsonArray(family.ClassName), ["model_type"] = family.Name };
        foreach ((string name, JsonNode? value) in family.Write(config))
            json[name] = value?.DeepClone();
        json["tie_word_embeddings"] = config.Head == HeadKind.Tied;
        json["torch_dtype"] = dtype switch { DType.F16 => "float16", DType.BF16 => "bfloat16", _ => "float32" };
        json["bos_token_id"] = bos;
        json["eos_token_id"] = eos;
        return json;
    }
}
