using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>A decoder in Hugging Face's layout.</summary>
static class DecoderFolder
{
    /// <summary>Reads config.json's fields, refusing what the family here does not compute.</summary>
    public static DecoderConfig ReadConfig(JsonFields json)
    {
        Family family = Family.Of(json);
        if (json.Has("architectures") && json.Texts("architectures") is [string head, ..] && head != family.ClassName)
            throw json.Error($"architectures names {head}, wanted {family.ClassName}");
        DecoderConfig config = family.Read(json);
        config.Validate(json.Path);
        return config;
    }

    /// <summary>Where a folder of the model's family keeps each tensor of ours.</summary>
    public static Func<string, TensorPlace> Places(DecoderConfig config) => name => Family.Of(config).InFolder(name, config);

    /// <summary>What config.json says of a model; <paramref name="dtype"/> names the type of what is not quantized.</summary>
    public static JsonObject Config(DecoderConfig config, DType dtype, int? bos, int? eos) => ModelFolder.Finish(Config(config), dtype, bos, eos);

    /// <summary>Whether a folder of the model's family stores each matrix by itself, as we have it.</summary>
    public static bool StoresApart(DecoderModel model)
    {
        Family family = Family.Of(model.Config);
        return model.Matrices().Select(matrix => family.InFolder(matrix.Name + ".weight", model.Config)).All(place => place is { Rows: null, IsTransposed: false });
    }

    /// <summary>What config.json says but for the number type and the tokens.</summary>
    public static JsonObject Config(DecoderConfig config)
    {
        Family family = Family.Of(config);
        JsonObject json = new() { ["architectures"] = new JsonArray(family.ClassName), ["model_type"] = family.Name };
        foreach ((string name, JsonNode? value) in family.Write(config))
            json[name] = value?.DeepClone();
        json["tie_word_embeddings"] = config.Head == HeadKind.Tied;
        return json;
    }
}
