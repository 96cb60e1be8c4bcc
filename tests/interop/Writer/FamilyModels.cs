using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Interop;

/// <summary>A small model of random weights for each architecture that llama.cpp reads, with whatever its family does otherwise than Llama.</summary>
static class FamilyModels
{
    const int Vocabulary = 270;

    static readonly DecoderConfig Plain = new()
    {
        HiddenSize = 64,
        IntermediateSize = 96,
        LayerCount = 2,
        HeadCount = 4,
        KeyValueHeadCount = 2,
        HeadWidth = 16,
        VocabularySize = Vocabulary,
        ContextLength = 256,
        Head = HeadKind.Untied,
    };

    static readonly DecoderConfig Layered = Plain with { KeyValueHeadCount = 4, Norm = NormKind.Layer, Biases = BiasedParts.All, Gating = Gating.Plain };

    static readonly DecoderConfig Gemma = Plain with
    {
        NormPlacement = NormPlacement.Around,
        EmbeddingScale = 8,
        Activation = Activation.GeluTanh,
        Window = 16,
        WindowPattern = 2,
        AttentionScale = 0.25f,
        Head = HeadKind.Tied,
    };

    static readonly ExpertOptions Experts = new() { Count = 6, Chosen = 2, Width = 64 };

    // llama.cpp looks for Phi-3's own tokens where a model's name has phi3 in it.
    static readonly IReadOnlyDictionary<string, DecoderConfig> Decoders = new Dictionary<string, DecoderConfig>
    {
        ["llama-3.1"] = Plain with { RopeTheta = 500_000, RopeScaling = new Llama3RopeScaling(8, 1, 4, 64) },
        ["mixtral"] = Plain with { Family = "mixtral", IntermediateSize = 64, Experts = Experts },
        ["qwen2"] = Plain with { Family = "qwen2", Biases = BiasedParts.QueryKeyValue, RopeTheta = 1_000_000 },
        ["qwen2-yarn"] = Plain with { Family = "qwen2", Biases = BiasedParts.QueryKeyValue, RopeScaling = new YarnRopeScaling(4, 64, 32, 1, YarnRopeScaling.UsualAttentionFactor(4)) },
        ["qwen2moe"] = Plain with { Family = "qwen2_moe", Biases = BiasedParts.QueryKeyValue, Experts = Experts with { Shares = ExpertShares.All, SharedWidth = 96 } },
        ["qwen3"] = Plain with { Family = "qwen3", QueryKeyNorm = QueryKeyNorm.Head, HeadWidth = 32 },
        ["qwen3moe"] = Plain with { Family = "qwen3_moe", QueryKeyNorm = QueryKeyNorm.Head, Experts = Experts },
        ["phi_3"] = Plain with { Family = "phi3" },
        ["phi_3-longrope"] = Plain with { Family = "phi3", RopeScaling = new LongRopeScaling(256, 1024, [1, 1.1, 1.2, 1.4, 1.6, 2, 2.5, 3], [2, 3, 4, 5, 6, 7, 8, 9], LongRopeScaling.UsualAttentionFactor(256, 1024)) },
        ["gemma2"] = Gemma with { Family = "gemma2", AttentionSoftcap = 5, LogitSoftcap = 10 },
        ["gemma3"] = Gemma with { Family = "gemma3_text", QueryKeyNorm = QueryKeyNorm.Head, RopeTheta = 1_000_000, LocalRopeTheta = 10_000, WindowPattern = 6, LayerCount = 7 },
        ["olmo2"] = Plain with { Family = "olmo2", NormPlacement = NormPlacement.After, QueryKeyNorm = QueryKeyNorm.Row },
        ["gpt2"] = Layered with { Family = "gpt2", Positions = PositionKind.Learned, Activation = Activation.GeluTanh, Head = HeadKind.Tied },
        ["gptneox"] = Layered with { Family = "gpt_neox", RotaryWidth = 8, Residual = Residual.Parallel, Activation = Activation.Gelu },
        ["gptneox-sequential"] = Layered with { Family = "gpt_neox", RotaryWidth = 8, Activation = Activation.Gelu },
    };

    static readonly EncoderConfig Bert = new()
    {
        Family = "bert",
        Task = EncoderTask.Embedding,
        HiddenSize = 64,
        IntermediateSize = 96,
        LayerCount = 2,
        HeadCount = 4,
        VocabularySize = Vocabulary,
        ContextLength = 128,
        TypeCount = 2,
    };

    static readonly IReadOnlyDictionary<string, EncoderConfig> Encoders = new Dictionary<string, EncoderConfig>
    {
        ["bert"] = Bert,
        ["bert-first"] = Bert with { Pooling = Pooling.First },
        ["roberta"] = Bert with { Family = "roberta", TypeCount = 1, FirstPosition = 2 },
        ["distilbert"] = Bert with { Family = "distilbert", TypeCount = 0 },
        ["bert-classifier"] = Bert with { Task = EncoderTask.Classification, Labels = ["bad", "so-so", "good"] },
        ["roberta-classifier"] = Bert with { Family = "roberta", TypeCount = 1, FirstPosition = 2, Task = EncoderTask.Classification, Labels = ["no", "yes"] },
    };

    /// <summary>Every decoder by the name of its file.</summary>
    public static IEnumerable<(string Name, LanguageModel Model)> AllDecoders()
    {
        Tokenizer tokenizer = BpeTrainer.Train(["the cat sat on the mat"], new BpeTraining { VocabularySize = Vocabulary - 10 });
        return Decoders.Select((pair, i) => (pair.Key, new LanguageModel(new DecoderModel(pair.Value, new RandomNumbers(i).Matrix, new RandomNumbers(i + 100).Vector), tokenizer, pair.Key)));
    }

    /// <summary>Every encoder by the name of its file.</summary>
    public static IEnumerable<(string Name, LanguageModel Model)> AllEncoders()
    {
        Tokenizer tokenizer = BpeTrainer.Train(["the cat sat on the mat"], new BpeTraining { VocabularySize = Vocabulary - 10 });
        return Encoders.Select((pair, i) => (pair.Key, new LanguageModel(new EncoderModel(pair.Value, new RandomNumbers(i).Matrix, new RandomNumbers(i + 100).Vector), tokenizer, pair.Key)));
    }

    // Products of unit variance, logits of 3^2, embeddings of 1, gains around 1, biases around 0.
    sealed class RandomNumbers(int seed)
    {
        readonly Random random = new(seed);

        public Weight Matrix(string name, Shape shape)
        {
            double deviation = name.Contains("embed", StringComparison.Ordinal) ? 1 : (name.Contains("lm_head", StringComparison.Ordinal) ? 3 : 1) / Math.Sqrt(shape[1]);
            return new DenseWeight(Filled(shape, () => deviation * Math.Sqrt(3) * (2 * random.NextDouble() - 1)));
        }

        public Tensor Vector(string name, Shape shape) => Filled(shape, () => random.NextDouble() + (name.EndsWith("bias", StringComparison.Ordinal) ? -0.5 : 0.5));

        static Tensor Filled(Shape shape, Func<double> number)
        {
            Tensor tensor = new(shape);
            foreach (ref float value in tensor.Data)
                value = (float)number();
            return tensor;
        }
    }
}
