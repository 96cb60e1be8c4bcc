using System.Globalization;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>A Llama model as llama.cpp reads it: architecture <c>llama</c>, its own names, the rows of q and k with rotary pairs side by side.</summary>
static class LlamaGguf
{
    const string Architecture = "llama", WeightSuffix = ".weight";

    /// <summary>Reads a file: the model and the vocabulary that it carries.</summary>
    public static (LlamaModel Model, Tokenizer Tokenizer) Load(string path)
    {
        using Gguf file = Gguf.Open(path);
        return Read(file, WeightReading.Whole);
    }

    /// <summary>Reads an open file, its matrices at once or on demand.</summary>
    public static (LlamaModel Model, Tokenizer Tokenizer) Read(Gguf file, WeightReading reading)
    {
        string path = file.Path;
        string architecture = file.Get<string>("general.architecture");
        if (architecture != Architecture)
            throw new CoppiceException($"{path}: the architecture is '{architecture}', wanted {Architecture}");
        if (file.Metadata.TryGetValue("llama.rope.scaling.type", out object? scaling) && scaling is not "none")
            throw new CoppiceException($"{path}: llama.rope.scaling.type is '{scaling}', which this version cannot compute");
        int heads = file.Get<int>("llama.attention.head_count"), width = file.Get<int>("llama.embedding_length");
        Tokenizer tokenizer = GgufVocabulary.Read(file);
        LlamaConfig config = new()
        {
            HiddenSize = width,
            IntermediateSize = file.Get<int>("llama.feed_forward_length"),
            LayerCount = file.Get<int>("llama.block_count"),
            HeadCount = heads,
            KeyValueHeadCount = Or("llama.attention.head_count_kv", heads),
            HeadWidth = Or("llama.attention.key_length", heads > 0 ? width / heads : 0),
            VocabularySize = (int)file.ShapeOf("token_embd.weight")[0],
            ContextLength = file.Get<int>("llama.context_length"),
            RopeTheta = file.Metadata.ContainsKey("llama.rope.freq_base") ? file.Get<float>("llama.rope.freq_base") : 10_000,
            NormEpsilon = file.Get<float>("llama.attention.layer_norm_rms_epsilon"),
            Head = file.Names.Contains("output.weight") ? HeadKind.Untied : HeadKind.Tied,
        };
        config.Validate(path);
        int turned = Or("llama.rope.dimension_count", config.HeadWidth);
        if (turned != config.HeadWidth)
            throw new CoppiceException($"{path}: llama.rope.dimension_count is {turned}, wanted all {config.HeadWidth} numbers of a head");
        return (LlamaCheckpoint.Build(config, file, TensorNames.Gguf.Of,
            (name, weight) => LlamaCheckpoint.HeadsOf(name, config) is { } rows ? RotaryLayout.FromNeighbours(weight, rows) : weight, reading), tokenizer);

        int Or(string key, int otherwise) => file.Metadata.ContainsKey(key) ? file.Get<int>(key) : otherwise;
    }

    /// <summary>Writes a file. Each matrix gets the type that holds its numbers exactly where there is one; <paramref name="type"/>, where given, is every matrix's. Vectors are F32.</summary>
    /// <returns>What was not stored exactly, by tensor.</returns>
    public static IReadOnlyList<GgufRounding> Save(LlamaModel model, Tokenizer tokenizer, string path, string name, GgmlType? type)
    {
        // Kinds as the model has them: putting rows in llama.cpp's order makes some weights dense.
        Dictionary<string, string> kinds = model.Matrices().ToDictionary(matrix => matrix.Name, matrix => matrix.Layer.Weight.Kind);
        List<GgufRounding> rounded = [];
        Save(model, tokenizer, path, name, null, (matrix, weight) =>
        {
            GgmlType chosen = type ?? GgufBlocks.TypeOf(weight);
            if (!GgufBlocks.IsExact(weight, chosen))
                rounded.Add(new GgufRounding(TensorNames.Gguf.Of(matrix + WeightSuffix), kinds[matrix], chosen));
            return chosen;
        });
        return rounded;
    }

    /// <summary>Writes a file with each matrix, told by our name, in the type that <paramref name="typeOf"/> says; <paramref name="told"/> hears what that did to its numbers.</summary>
    public static void Save(LlamaModel model, Tokenizer tokenizer, string path, string name, WorkerPool? pool, Func<string, Weight, GgmlType> typeOf, Action<string, StoredNumbers>? told = null)
    {
        LlamaConfig config = model.Config;
        List<GgufWriter.Source> sources = [];
        foreach (CheckpointEntry entry in LlamaCheckpoint.Entries(model, (ours, weight) => LlamaCheckpoint.HeadsOf(ours, config) is { } heads ? RotaryLayout.ToNeighbours(GgufBlocks.Exact(weight), heads) : GgufBlocks.Exact(weight)))
        {
            CheckpointEntry theirs = entry.Rename(TensorNames.Gguf.Of(entry.Name));
            if (entry.Weight is not { } weight)
            {
                sources.Add(new GgufWriter.Source(theirs, GgmlType.F32));
                continue;
            }
            string matrix = entry.Name[..^WeightSuffix.Length];
            sources.Add(new GgufWriter.Source(theirs, typeOf(matrix, weight), told is null ? null : numbers => told(matrix, numbers)));
        }
        List<KeyValuePair<string, object>> metadata =
        [
            new("general.architecture", Architecture),
            new("general.name", name),
            new("general.quantization_version", 2u),
            new("general.file_type", FileType(sources)),
            new("llama.vocab_size", (uint)config.VocabularySize),
            new("llama.context_length", (uint)config.ContextLength),
            new("llama.embedding_length", (uint)config.HiddenSize),
            new("llama.block_count", (uint)config.LayerCount),
            new("llama.feed_forward_length", (uint)config.IntermediateSize),
            new("llama.attention.head_count", (uint)config.HeadCount),
            new("llama.attention.head_count_kv", (uint)config.KeyValueHeadCount),
            new("llama.attention.key_length", (uint)config.HeadWidth),
            new("llama.attention.value_length", (uint)config.HeadWidth),
            new("llama.attention.layer_norm_rms_epsilon", config.NormEpsilon),
            new("llama.rope.freq_base", config.RopeTheta),
            new("llama.rope.dimension_count", (uint)config.HeadWidth),
            .. GgufVocabulary.Write(tokenizer, config.VocabularySize),
        ];
        GgufWriter.Write(path, metadata, sources, pool);
    }

    // llama.cpp's llama_ftype: the type of most matrices.
    static uint FileType(IEnumerable<GgufWriter.Source> sources) =>
        sources.Where(source => source.Entry.Weight is not null).GroupBy(source => source.Type).MaxBy(group => group.Count())!.Key.Name switch
        {
            "F32" => 0u,
            "F16" => 1u,
            "Q4_0" => 2u,
            "Q8_0" => 7u,
            "Q4_K" => 15u,
            "Q6_K" => 18u,
            "BF16" => 32u,
            string other => throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"LlamaGguf: {other} has no file type")),
        };
}

/// <summary>A matrix whose numbers a GGUF file holds rounded: <paramref name="Tensor"/> was <paramref name="From"/> and became <paramref name="To"/>.</summary>
public sealed record GgufRounding(string Tensor, string From, GgmlType To);
