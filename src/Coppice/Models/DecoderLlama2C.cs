using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>A Llama model in llama2.c's .bin: Meta's names, rotary pairs side by side.</summary>
static class DecoderLlama2C
{
    /// <summary>Reads a file.</summary>
    public static DecoderModel Load(string path)
    {
        using Llama2C file = Llama2C.Open(path);
        return Read(file, WeightReading.Whole);
    }

    /// <summary>The same with matrices left in the file, which has to stay open.</summary>
    public static DecoderModel Open(string path, out ICheckpoint checkpoint)
    {
        Llama2C file = Llama2C.Open(path);
        checkpoint = file;
        return Read(file, WeightReading.OnDemand);
    }

    static DecoderModel Read(Llama2C file, WeightReading reading)
    {
        Llama2CHeader header = file.Header;
        DecoderConfig config = new()
        {
            HiddenSize = header.Width,
            IntermediateSize = header.HiddenWidth,
            LayerCount = header.Layers,
            HeadCount = header.Heads,
            KeyValueHeadCount = header.KeyValueHeads,
            HeadWidth = header.Width / header.Heads,
            VocabularySize = header.Vocabulary,
            ContextLength = header.ContextLength,
            Head = header.Classifier == Classifier.Tied ? HeadKind.Tied : HeadKind.Untied,
        };
        config.Validate(file.Path);
        return DecoderCheckpoint.Build(config, file, name => Place(name, config), _ => false, reading);
    }

    /// <summary>Writes a file; every number as float32.</summary>
    public static void Save(DecoderModel model, string path, WritingOptions? options = null)
    {
        DecoderConfig config = model.Config;
        if (config with { Family = "llama" } != Plain(config))
            throw new CoppiceException($"{path}: llama2.c computes plain Llama models, and this {config.Family} model has parts that it has not");
        if (config.HeadWidth * config.HeadCount != config.HiddenSize || config.RopeTheta != 10_000 || config.NormEpsilon != 1e-5f)
            throw new CoppiceException($"{path}: llama2.c computes with heads of width/heads numbers, rope_theta 10000 and epsilon 1e-5; this model has {config.HeadWidth}, {config.RopeTheta} and {config.NormEpsilon}");
        Llama2CHeader header = new(config.HiddenSize, config.IntermediateSize, config.LayerCount, config.HeadCount, config.KeyValueHeadCount, config.VocabularySize, config.ContextLength,
            config.Head == HeadKind.Tied ? Classifier.Tied : Classifier.Untied);
        Llama2C.Write(path, header, [.. ModelCheckpoint.Stored(model, name => Place(name, config), weight => weight).Select(tensor => tensor.Entry)], options);
    }

    static TensorPlace Place(string name, DecoderConfig config) => Families.Llama.Neighbours(new TensorPlace(TensorNames.Meta.Of(name)), name, config);

    // The same sizes, and nothing that Llama has not.
    static DecoderConfig Plain(DecoderConfig config) => new()
    {
        HiddenSize = config.HiddenSize,
        IntermediateSize = config.IntermediateSize,
        LayerCount = config.LayerCount,
        HeadCount = config.HeadCount,
        KeyValueHeadCount = config.KeyValueHeadCount,
        HeadWidth = config.HeadWidth,
        VocabularySize = config.VocabularySize,
        ContextLength = config.ContextLength,
        RopeTheta = config.RopeTheta,
        NormEpsilon = config.NormEpsilon,
        Head = config.Head,
    };
}
