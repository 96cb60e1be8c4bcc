using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>
/// An encoder as llama.cpp embeds and ranks texts with it: architecture bert, which is DistilBERT without types, and RoBERTa without the rows of positions that no token has. A classifier is its head for ranking:
/// a product, tanh, a product over the first token.
/// </summary>
static class EncoderGguf
{
    const string Architecture = "bert", WeightSuffix = ".weight", Labels = Architecture + ".classifier.output_labels";

    // llama.cpp's numbers for what is done with the states.
    const uint MeanPooling = 1, FirstPooling = 2, RankPooling = 4;

    static readonly TensorNames names = new("blk.",
        ("model.embed_tokens.", "token_embd."), ("model.embed_positions.", "position_embd."), ("model.embed_types.", "token_types."), ("model.embed_norm.", "token_embd_norm."),
        ("self_attn.q_proj.", "attn_q."), ("self_attn.k_proj.", "attn_k."), ("self_attn.v_proj.", "attn_v."), ("self_attn.o_proj.", "attn_output."), ("post_attention_layernorm.", "attn_output_norm."),
        ("mlp.up_proj.", "ffn_up."), ("mlp.down_proj.", "ffn_down."), ("post_feedforward_layernorm.", "layer_output_norm."),
        ("head.dense.", "cls."), ("head.out.", "cls.output."));

    /// <summary>Whether a file holds an encoder.</summary>
    public static bool Reads(Gguf file) => file.Get<string>("general.architecture") == Architecture;

    /// <summary>llama.cpp's name of a matrix of ours.</summary>
    public static string NameOf(string matrix) => names.Of(matrix + WeightSuffix);

    /// <summary>Reads an open file.</summary>
    public static (Model Model, Tokenizer Tokenizer) Read(Gguf file, WeightReading reading)
    {
        const string prefix = Architecture + ".";
        bool hasTypes = file.Names.Contains("token_types.weight"), isClassifier = file.Names.Contains("cls.weight") || file.Names.Contains("cls.output.weight");
        if (isClassifier && !(file.Names.Contains("cls.weight") && file.Names.Contains("cls.output.weight")))
            throw new CoppiceException($"{file.Path}: has a classifier of one product, wanted cls and cls.output");
        EncoderConfig config = new()
        {
            Family = hasTypes ? "bert" : "distilbert",
            Task = isClassifier ? EncoderTask.Classification : EncoderTask.Embedding,
            Labels = isClassifier ? file.Get<string[]>(Labels, [.. Enumerable.Range(0, (int)file.ShapeOf("cls.output.weight")[0]).Select(label => $"LABEL_{label}")]) : [],
            HiddenSize = file.Get<int>(prefix + "embedding_length"),
            IntermediateSize = file.Get<int>(prefix + "feed_forward_length"),
            LayerCount = file.Get<int>(prefix + "block_count"),
            HeadCount = file.Get<int>(prefix + "attention.head_count"),
            VocabularySize = (int)file.ShapeOf("token_embd.weight")[0],
            ContextLength = file.Get<int>(prefix + "context_length"),
            TypeCount = hasTypes ? (int)file.ShapeOf("token_types.weight")[0] : 0,
            NormEpsilon = file.Get<float>(prefix + "attention.layer_norm_epsilon"),
            Pooling = file.Get(prefix + "pooling_type", (int)MeanPooling) == FirstPooling ? Pooling.First : Pooling.Mean,
        };
        config.Validate(file.Path);
        Tokenizer tokenizer = GgufVocabulary.Read(file);
        return (ModelCheckpoint.Build(config.Family, file, (matrix, vector) => new EncoderModel(config, matrix, vector), name => new TensorPlace(names.Of(name)), _ => false, reading), tokenizer);
    }

    /// <summary>Why llama.cpp does not compute a model, or computes it otherwise; null where it does.</summary>
    public static string? Refuses(EncoderConfig config) =>
        config.Task == EncoderTask.MaskedLanguage ? $"llama.cpp has no place for the head of a {config.Family} that tells what stands in a token's place"
        : config.Task == EncoderTask.Classification && config.PoolerActivation != Activation.Tanh ? $"llama.cpp computes classifiers with tanh, that of this {config.Family} has {config.PoolerActivation}"
        : config.Activation is not (Activation.Gelu or Activation.GeluTanh) ? $"llama.cpp computes {Architecture} with GELU, this model has {config.Activation}"
        : null;

    /// <summary>Writes a file; see <see cref="ModelGguf.Save(Model, Tokenizer, string, string, WritingOptions?, Func{string, Weight, GgmlType}, Action{string, StoredNumbers}?)"/>.</summary>
    /// <exception cref="CoppiceException">llama.cpp does not compute this model.</exception>
    public static void Save(EncoderModel model, Tokenizer tokenizer, string path, string name, WritingOptions? options, Func<string, Weight, GgmlType> typeOf, Action<string, StoredNumbers>? told = null)
    {
        EncoderConfig config = model.Config;
        if (Refuses(config) is { } reason)
            throw new CoppiceException($"{path}: {reason}");
        bool isClassifier = config.Task == EncoderTask.Classification;
        List<GgufWriter.Source> sources = [];
        foreach (CheckpointEntry entry in ModelCheckpoint.Entries(model))
        {
            // What llama.cpp has no place for, and does not need.
            if (!isClassifier && entry.Name.StartsWith("head.", StringComparison.Ordinal))
                continue;
            CheckpointEntry named = entry.Rename(names.Of(entry.Name));
            if (entry.Weight is not { } weight)
            {
                sources.Add(new GgufWriter.Source(named, GgmlType.F32));
                continue;
            }
            string matrix = entry.Name[..^WeightSuffix.Length];
            // What is added, llama.cpp adds as float32.
            bool isAdded = matrix is "model.embed_positions" or "model.embed_types";
            Weight stored = matrix == "model.embed_positions" && config.FirstPosition > 0
                ? weight.Reorder([.. Enumerable.Range(config.FirstPosition, config.ContextLength)])
                : DeferredWeight.Changed(weight, GgufGrids.ToBlocks);
            sources.Add(new GgufWriter.Source(new CheckpointEntry(named.Name, stored), isAdded ? GgmlType.F32 : typeOf(matrix, stored), told is null ? null : numbers => told(matrix, numbers)));
        }
        const string prefix = Architecture + ".";
        List<KeyValuePair<string, object>> metadata =
        [
            new("general.architecture", Architecture),
            new("general.name", name),
            new("general.quantization_version", 2u),
            new("general.file_type", ModelGguf.FileType(sources)),
            new(prefix + "vocab_size", (uint)config.VocabularySize),
            new(prefix + "context_length", (uint)config.ContextLength),
            new(prefix + "embedding_length", (uint)config.HiddenSize),
            new(prefix + "block_count", (uint)config.LayerCount),
            new(prefix + "feed_forward_length", (uint)config.IntermediateSize),
            new(prefix + "attention.head_count", (uint)config.HeadCount),
            new(prefix + "attention.layer_norm_epsilon", config.NormEpsilon),
            new(prefix + "attention.causal", false),
            new(prefix + "pooling_type", isClassifier ? RankPooling : config.Pooling == Pooling.First ? FirstPooling : MeanPooling),
            .. isClassifier ? [new(Labels, config.Labels.ToArray())] : (KeyValuePair<string, object>[])[],
            new("tokenizer.ggml.token_type_count", (uint)Math.Max(1, config.TypeCount)),
            .. GgufVocabulary.Write(tokenizer, config.VocabularySize),
        ];
        GgufWriter.Write(path, metadata, sources, options);
    }
}
