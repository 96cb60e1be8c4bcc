using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Tests.Evaluation;

/// <summary>A model and a tokenizer small enough for tests that read a whole text in milliseconds.</summary>
static class TinyModels
{
    public static Tokenizer Tokenizer { get; } = BpeTrainer.Train(
        ["the cat sat on the mat and the dog sat on the log", "a héron flew over the thé house 東京"], new BpeTraining { VocabularySize = 280 });

    public static DecoderConfig Config { get; } = new()
    {
        HiddenSize = 16,
        IntermediateSize = 24,
        LayerCount = 2,
        HeadCount = 4,
        KeyValueHeadCount = 2,
        HeadWidth = 4,
        VocabularySize = 280,
        ContextLength = 48,
    };

    /// <summary>Weights far wider than for training, so that predictions differ from token to token.</summary>
    public static DecoderModel Model(int seed)
    {
        DecoderModel model = Initialization.Random(Config, seed);
        foreach ((_, MatrixLayer layer) in model.Matrices())
        {
            Tensor values = ((DenseWeight)layer.Weight).Values;
            foreach (ref float value in values.Data)
                value *= 15;
            values.MarkChanged();
        }
        return model;
    }

    /// <summary>Documents of 1 to 12 sentences of random words.</summary>
    public static Corpus Corpus(int documents, int seed = 7)
    {
        string[] words = ["the", "cat", "sat", "on", "a", "mat", "dog", "flew", "over", "house", "héron", "東京", "log."];
        Random random = new(seed);
        return new Corpus("test", [.. Enumerable.Range(0, documents).Select(i =>
            new Document($"document {i}", string.Join(' ', Enumerable.Range(0, 2 + random.Next(40)).Select(_ => words[random.Next(words.Length)]))))]);
    }
}
