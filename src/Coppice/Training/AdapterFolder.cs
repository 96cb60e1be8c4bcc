using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Models.Families;
using Coppice.Tensors;

namespace Coppice.Training;

/// <summary>A model's adapters in PEFT's layout: adapter_config.json beside adapter_model.safetensors.</summary>
public static class AdapterFolder
{
    const string Prefix = "base_model.model.";

    /// <summary>Writes the adapters of <paramref name="model"/> as float32; <paramref name="baseModel"/> names the model that they belong to.</summary>
    /// <exception cref="CoppiceException">There are none, or the family's folders do not store an adapted matrix by itself, or the folder holds something else.</exception>
    public static void Write(string folder, DecoderModel model, string baseModel)
    {
        IReadOnlyList<(string Name, Linear Layer)> adapted = Lora.Adapted(model);
        string[] names = Names(folder, model);
        LowRankAdapter first = adapted[0].Layer.Adapter!;
        int rank = first.A.Shape[0];
        JsonObject config = new()
        {
            ["peft_type"] = "LORA",
            ["task_type"] = "CAUSAL_LM",
            ["base_model_name_or_path"] = baseModel,
            ["r"] = rank,
            ["lora_alpha"] = (double)first.Scale * rank,
            ["lora_dropout"] = 0.0,
            ["bias"] = "none",
            ["fan_in_fan_out"] = false,
            ["inference_mode"] = true,
            ["target_modules"] = new JsonArray([.. names.Select(name => (JsonNode)name)]),
        };
        AtomicFolder.Write(folder, ExistingFolder.ReplaceOurs, partial =>
        {
            AtomicFile.Write(Path.Combine(partial, "adapter_config.json"), stream =>
            {
                using Utf8JsonWriter writer = new(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
                config.WriteTo(writer);
            });
            SafeTensorsWriter.WriteFile(Path.Combine(partial, "adapter_model.safetensors"), adapted.SelectMany((product, i) => new[]
            {
                TensorSource.Floats($"{Prefix}{names[i]}.lora_A.weight", DType.F32, product.Layer.Adapter!.A),
                TensorSource.Floats($"{Prefix}{names[i]}.lora_B.weight", DType.F32, product.Layer.Adapter.B),
            }), new Dictionary<string, string> { ["format"] = "pt" });
        });
    }

    /// <summary>What a folder of the model's family calls its adapted matrices. Asked for before training, it finds what cannot be written.</summary>
    /// <exception cref="CoppiceException">There are none, or the family's folders do not store one by itself.</exception>
    public static string[] Names(string folder, DecoderModel model)
    {
        IReadOnlyList<(string Name, Linear Layer)> adapted = Lora.Adapted(model);
        if (adapted.Count == 0)
            throw new CoppiceException($"{folder}: the model has no adapters to write");
        Func<string, TensorPlace> places = DecoderFolder.Places(model.Config);
        return [.. adapted.Select(product => NameOf(folder, product.Name, places(product.Name + ".weight")))];
    }

    static string NameOf(string folder, string ours, TensorPlace place) => place is { Rows: null, IsTransposed: false, StoredShape: null }
        ? place.Name[..^".weight".Length]
        : throw new CoppiceException($"{folder}: an adapter folder cannot hold {ours}: this family's checkpoints do not store it by itself but in '{place.Name}'");
}
