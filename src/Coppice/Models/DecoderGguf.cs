using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>A model as llama.cpp reads it.</summary>
static class DecoderGguf
{
    const string WeightSuffix = ".weight";

    /// <summary>Reads an open file, its matrices at once or on demand.</summary>
    public static (Model Model, Tokenizer Tokenizer) Read(Gguf file, WeightReading reading)
    {
        Family family = Family.Of(file);
        DecoderConfig config = family.Read(file);
        config.Validate(file.Path);
        return SideBySide.Read(
            () => DecoderCheckpoint.Build(config, file, name => family.InGguf(name, config), name => name is LlamaLike.RopeFrequencies or LlamaLike.ShortFactors or LlamaLike.LongFactors, reading),
            () => GgufVocabulary.Read(file));
    }

    /// <summary>The tensor of llama.cpp's that holds a matrix of ours.</summary>
    /// <exception cref="CoppiceException">It has no architecture for the model.</exception>
    public static TensorPlace PlaceOf(DecoderModel model, string matrix)
    {
        Family family = FamilyOf(model.Config);
        return family.GgufArchitecture is not null
            ? family.InGguf(matrix + WeightSuffix, model.Config)
            : throw new CoppiceException($"{matrix}: llama.cpp has no architecture for {model.Config.Family} models");
    }

    /// <summary>Whether a matrix is F32 whatever is asked for: llama.cpp adds positions, and chooses experts, by float32.</summary>
    public static bool IsFloat32(string matrix) => matrix == "model.embed_positions" || Experts.IsRouter(matrix);

    /// <summary>Whether llama.cpp has an architecture for a model.</summary>
    public static bool Knows(DecoderModel model) => FamilyOf(model.Config).GgufArchitecture is not null;

    // llama.cpp knows Mistral as Llama, without a window: within one it computes the same.
    static Family FamilyOf(DecoderConfig config) => Family.Of(config.Family == "mistral" ? config with { Family = "llama" } : config);

    /// <summary>Why llama.cpp does not compute a model; null where it does.</summary>
    public static string? Refuses(DecoderConfig config)
    {
        Family family = FamilyOf(config);
        return family.GgufArchitecture is not { } architecture ? $"llama.cpp has no architecture for {config.Family} models"
            : !family.GgufStoresHeadWidth && config.HeadCount * config.HeadWidth != config.HiddenSize
                ? $"in llama.cpp's {architecture} models all heads make up the width, in this one {config.HeadCount} of {config.HeadWidth} numbers stand beside a width of {config.HiddenSize}; write it as a folder"
            : null;
    }

    /// <summary>Writes a file with each matrix, told by our name, in the type that <paramref name="typeOf"/> says; <paramref name="told"/> hears what that did to its numbers.</summary>
    public static void Save(DecoderModel model, Tokenizer tokenizer, string path, string name, WritingOptions? options, Func<string, Weight, GgmlType> typeOf, Action<string, StoredNumbers>? told = null)
    {
        DecoderConfig config = model.Config;
        if (Refuses(config) is { } reason)
            throw new CoppiceException($"{path}: {reason}");
        Family family = FamilyOf(config);
        string architecture = family.GgufArchitecture!;
        bool forgetsWindow = config.Window is not null && config.WindowPattern == 0;
        List<GgufWriter.Source> sources = [];
        foreach ((CheckpointEntry entry, IReadOnlyList<string> ours) in ModelCheckpoint.Stored(model, matrix => family.InGguf(matrix, config), GgufGrids.ToBlocks))
        {
            if (entry.Weight is not { } weight)
            {
                sources.Add(new GgufWriter.Source(entry, GgmlType.F32));
                continue;
            }
            // Of matrices that are stored as one the first says how.
            string matrix = ours[0][..^WeightSuffix.Length];
            GgmlType type = IsFloat32(matrix) ? GgmlType.F32 : typeOf(matrix, weight);
            sources.Add(new GgufWriter.Source(entry, type, told is null ? null : numbers =>
            {
                foreach (string part in ours)
                    told(part[..^WeightSuffix.Length], numbers);
            }));
        }
        sources.AddRange(Divisors(config).Select(divisors => new GgufWriter.Source(divisors, GgmlType.F32)));
        string prefix = architecture + ".";
        List<KeyValuePair<string, object>> metadata =
        [
            new("general.architecture", architecture),
            new("general.name", name),
            new("general.quantization_version", 2u),
            new("general.file_type", ModelGguf.FileType(sources)),
            new(prefix + "vocab_size", (uint)config.VocabularySize),
            new(prefix + "context_length", (uint)(config.RopeScaling is LongRopeScaling { Context: var longest } ? longest : forgetsWindow ? Math.Min(config.ContextLength, config.Window!.Value) : config.ContextLength)),
            new(prefix + "embedding_length", (uint)config.HiddenSize),
            new(prefix + "block_count", (uint)config.LayerCount),
            new(prefix + "feed_forward_length", (uint)config.IntermediateSize),
            new(prefix + "attention.head_count", (uint)config.HeadCount),
            new(prefix + "attention.head_count_kv", (uint)config.KeyValueHeadCount),
            new(prefix + "attention.key_length", (uint)config.HeadWidth),
            new(prefix + "attention.value_length", (uint)config.HeadWidth),
            .. family.Metadata(config),
            .. GgufVocabulary.Write(tokenizer, config.VocabularySize),
        ];
        GgufWriter.Write(path, metadata, sources, options);
    }

    // The tensors that llama.cpp divides frequencies by.
    static IEnumerable<CheckpointEntry> Divisors(DecoderConfig config)
    {
        if (config.RopeScaling is LongRopeScaling both)
            return [Vector(LlamaLike.ShortFactors, both.Short), Vector(LlamaLike.LongFactors, both.Long)];
        if (config.RopeScaling is not (Llama3RopeScaling or ListedRopeScaling))
            return [];
        double[] frequencies = RotaryTable.Frequencies(config.RotaryWidth ?? config.HeadWidth, config.RopeTheta), scaled = config.RopeScaling.Scale(frequencies, config.RopeTheta);
        return [Vector(LlamaLike.RopeFrequencies, [.. frequencies.Zip(scaled, (before, after) => before / after)])];

        static CheckpointEntry Vector(string name, IReadOnlyList<double> values) => new(name, Tensor.From([values.Count], [.. values.Select(value => (float)value)]));
    }
}
