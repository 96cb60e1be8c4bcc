using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>A Llama-family model in Hugging Face's layout: config.json beside safetensors, tensors under the layers' own names.</summary>
static class LlamaFolder
{
    /// <summary>Reads a folder. Every tensor that the sizes call for must be there with its shape, and no other.</summary>
    /// <exception cref="CoppiceException">A file is absent, damaged, or asks for what the family does not do.</exception>
    public static LlamaModel Load(string folder)
    {
        LlamaConfig config = ReadConfig(folder);
        using ICheckpoint checkpoint = Checkpoint.Open(folder);
        return LlamaCheckpoint.Build(config, checkpoint, name => name, (_, weight) => weight);
    }

    /// <summary>The same with matrices left in their files, which have to stay open.</summary>
    public static LlamaModel Open(string folder, out ICheckpoint checkpoint)
    {
        LlamaConfig config = ReadConfig(folder);
        checkpoint = Checkpoint.Open(folder);
        return LlamaCheckpoint.Build(config, checkpoint, name => name, (_, weight) => weight, WeightReading.OnDemand);
    }

    static LlamaConfig ReadConfig(string folder)
    {
        string path = Path.Combine(folder, "config.json");
        using JsonDocument json = JsonFile.Read(path);
        return ReadConfig(new JsonFields(path, json.RootElement));
    }

    /// <summary>Reads the sizes from config.json's fields, refusing what the family here does not compute.</summary>
    public static LlamaConfig ReadConfig(JsonFields json)
    {
        string type = json.Text("model_type", "");
        if (type != "llama")
            throw json.Error($"model_type is '{type}', wanted llama");
        string activation = json.Text("hidden_act", "silu");
        if (activation != "silu")
            throw json.Error($"hidden_act is '{activation}', wanted silu");
        if (json.Has("rope_scaling"))
            throw json.Error("rope_scaling is set, which this version cannot compute");
        // Transformers 5 keeps theta here.
        JsonFields? rope = json.Has("rope_parameters") ? json.Object("rope_parameters") : null;
        if (rope is not null && rope.Text("rope_type", "default") is var kind && kind != "default")
            throw json.Error($"rope_parameters' rope_type is '{kind}', wanted default");
        foreach (string bias in new[] { "attention_bias", "mlp_bias" })
            if (json.Flag(bias, false))
                throw json.Error($"{bias} is true, wanted no biases");
        int heads = json.Integer("num_attention_heads"), width = json.Integer("hidden_size");
        LlamaConfig config = new()
        {
            HiddenSize = width,
            IntermediateSize = json.Integer("intermediate_size"),
            LayerCount = json.Integer("num_hidden_layers"),
            HeadCount = heads,
            KeyValueHeadCount = json.Integer("num_key_value_heads", heads),
            HeadWidth = json.Integer("head_dim", heads > 0 ? width / heads : 0),
            VocabularySize = json.Integer("vocab_size"),
            ContextLength = json.Integer("max_position_embeddings", 2048),
            RopeTheta = (float)json.Number("rope_theta", rope?.Number("rope_theta", 10_000) ?? 10_000),
            NormEpsilon = (float)json.Number("rms_norm_eps", 1e-6),
            Head = json.Flag("tie_word_embeddings", false) ? HeadKind.Tied : HeadKind.Untied,
        };
        config.Validate(json.Path);
        return config;
    }

    /// <summary>Writes config.json and the safetensors into <paramref name="folder"/>. Vectors, and matrices that are float32 or in blocks, become <paramref name="dtype"/>; other kinds stay as they are (compressed-tensors).</summary>
    public static void Save(LlamaModel model, string folder, DType dtype, int? bos, int? eos)
    {
        (ImmutableArray<TensorSource> tensors, CompressionConfig? compression) = CompressedTensors.Encode(LlamaCheckpoint.Entries(model, (_, weight) => weight), dtype);
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

    /// <summary>What config.json says; <paramref name="dtype"/> names the type of what is not quantized.</summary>
    public static JsonObject Config(LlamaConfig config, DType dtype, int? bos, int? eos) => new()
    {
        ["architectures"] = new JsonArray("LlamaForCausalLM"),
        ["model_type"] = "llama",
        ["hidden_size"] = config.HiddenSize,
        ["intermediate_size"] = config.IntermediateSize,
        ["num_hidden_layers"] = config.LayerCount,
        ["num_attention_heads"] = config.HeadCount,
        ["num_key_value_heads"] = config.KeyValueHeadCount,
        ["head_dim"] = config.HeadWidth,
        ["vocab_size"] = config.VocabularySize,
        ["max_position_embeddings"] = config.ContextLength,
        ["rope_theta"] = config.RopeTheta,
        ["rms_norm_eps"] = config.NormEpsilon,
        ["hidden_act"] = "silu",
        ["attention_bias"] = false,
        ["mlp_bias"] = false,
        ["tie_word_embeddings"] = config.Head == HeadKind.Tied,
        ["torch_dtype"] = dtype switch { DType.F16 => "float16", DType.BF16 => "bfloat16", _ => "float32" },
        ["bos_token_id"] = bos,
        ["eos_token_id"] = eos,
    };
}
