using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Interop;

/// <summary>
/// A model of random weights that differs from the trained one wherever a reader could go wrong: grouped heads, a head width that is not width/heads, an
/// untied head, unequal gains, another rotary base, and more ids than the tokenizer has. Weights are wide enough that attention and positions decide tokens.
/// </summary>
static class GroupedModel
{
    public static LanguageModel Create(Tokenizer tokenizer, int seed)
    {
        DecoderConfig config = new()
        {
            HiddenSize = 128,
            IntermediateSize = 352,
            LayerCount = 2,
            HeadCount = 6,
            KeyValueHeadCount = 2,
            HeadWidth = 32,
            VocabularySize = tokenizer.Count + 10,
            ContextLength = 256,
            RopeTheta = 500_000,
            NormEpsilon = 1e-3f,
            Head = HeadKind.Untied,
        };
        Random random = new(seed);
        return new LanguageModel(new DecoderModel(config, Matrix, Gain), tokenizer, "random");

        // Products of unit variance, logits of 3^2, embeddings of 1: uniform numbers in +-sqrt(3) deviations.
        Weight Matrix(string name, Shape shape)
        {
            double deviation = name.Contains("embed", StringComparison.Ordinal) ? 1 : (name.Contains("lm_head", StringComparison.Ordinal) ? 3 : 1) / Math.Sqrt(shape[1]);
            return new DenseWeight(Filled(shape, () => deviation * Math.Sqrt(3) * (2 * random.NextDouble() - 1)));
        }

        Tensor Gain(string name, Shape shape) => Filled(shape, () => 0.5 + random.NextDouble());
    }

    static Tensor Filled(Shape shape, Func<double> number)
    {
        Tensor tensor = new(shape);
        foreach (ref float value in tensor.Data)
            value = (float)number();
        return tensor;
    }
}
