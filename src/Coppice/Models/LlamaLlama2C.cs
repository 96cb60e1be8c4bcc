using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>A Llama model in llama2.c's .bin: Meta's names, rotary pairs side by side.</summary>
static class LlamaLlama2C
{
    /// <summary>Reads a file.</summary>
    public static LlamaModel Load(string path)
    {
        using Llama2C file = Llama2C.Open(path);
        Llama2CHeader header = file.Header;
        LlamaConfig config = new()
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
        config.Validate(path);
        return LlamaCheckpoint.Build(config, file, TensorNames.Meta.Of, (name, weight) => LlamaCheckpoint.HeadsOf(name, config) is { } heads ? RotaryLayout.FromNeighbours(weight, heads) : weight);
    }

    /// <summary>Writes a file; every number as float32.</summary>
    public static void Save(LlamaModel model, string path)
    {
        LlamaConfig config = model.Config;
        if (config.HeadWidth * config.HeadCount != config.HiddenSize || config.RopeTheta != 10_000 || config.NormEpsilon != 1e-5f)
            throw new CoppiceException($"{path}: llama2.c computes with heads of width/heads numbers, rope_theta 10000 and epsilon 1e-5; this model has {config.HeadWidth}, {config.RopeTheta} and {config.NormEpsilon}");
        Llama2CHeader header = new(config.HiddenSize, config.IntermediateSize, config.LayerCount, config.HeadCount, config.KeyValueHeadCount, config.VocabularySize, config.ContextLength,
            config.Head == HeadKind.Tied ? Classifier.Tied : Classifier.Untied);
        Llama2C.Write(path, header, [.. LlamaCheckpoint.Entries(model, (name, weight) => LlamaCheckpoint.HeadsOf(name, config) is { } heads ? RotaryLayout.ToNeighbours(weight, heads) : weight)
            .Select(entry => entry.Rename(TensorNames.Meta.Of(entry.Name)))]);
    }
}
