using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>An encoder in Hugging Face's layout.</summary>
static class EncoderFolder
{
    /// <summary>Builds the model of a config.json's fields from the tensors beside it.</summary>
    /// <exception cref="CoppiceException">Something is absent, unused or not computed here.</exception>
    public static EncoderModel Build(EncoderFamily family, JsonFields json, ICheckpoint checkpoint, WeightReading reading = WeightReading.Whole)
    {
        EncoderConfig read = family.Read(json);
        // Embeddings need no pooler, and some writers leave it out.
        FolderNames names = new(checkpoint, family.InFolder("model.embed_tokens.weight", read).Name, family.Name + ".");
        EncoderConfig config = read with { HasPooler = read.Task == EncoderTask.Embedding && checkpoint.Names.Contains(names.Of("pooler.dense.weight")), Pooling = ReadPooling(Path.GetDirectoryName(json.Path)!) };
        config.Validate(json.Path);
        return ModelCheckpoint.Build(config.Family, checkpoint, (matrix, vector) => new EncoderModel(config, matrix, vector), name => names.Of(family.InFolder(name, config)), name => names.MayStay(name, stored => family.MayStay(stored, config)), reading);
    }

    // What sentence encoders keep beside the model.
    static Pooling ReadPooling(string folder)
    {
        string path = Path.Combine(folder, "1_Pooling", Checkpoint.ConfigName);
        if (!File.Exists(path))
            return Pooling.Mean;
        using JsonDocument document = JsonFile.Read(path);
        JsonFields json = new(path, document.RootElement);
        return json.Flag("pooling_mode_cls_token", false) ? Pooling.First
            : json.Flag("pooling_mode_mean_tokens", true) ? Pooling.Mean
            : throw json.Error("asks for neither the first token nor the mean, which is all that is computed");
    }

    /// <summary>Where a folder of the model's family keeps each tensor of ours.</summary>
    public static Func<string, TensorPlace> Places(EncoderConfig config) => name => EncoderFamily.Of(config).InFolder(name, config);

    /// <summary>What config.json says but for the number type and the tokens.</summary>
    public static JsonObject Config(EncoderConfig config)
    {
        EncoderFamily family = EncoderFamily.Of(config);
        JsonObject json = new() { ["architectures"] = new JsonArray(family.ClassOf(config.Task)), ["model_type"] = family.Name };
        foreach ((string name, JsonNode? value) in family.Write(config))
            json[name] = value?.DeepClone();
        if (config.Task == EncoderTask.Classification)
        {
            json["id2label"] = new JsonObject(config.Labels.Select((label, i) => KeyValuePair.Create($"{i}", (JsonNode?)label)));
            json["label2id"] = new JsonObject(config.Labels.Select((label, i) => KeyValuePair.Create(label, (JsonNode?)i)));
        }
        return json;
    }
}
