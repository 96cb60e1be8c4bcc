using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Tests.Explanation;

/// <summary>Small random models with weights large enough that nothing about them is linear, and roughened copies.</summary>
static class TinyModels
{
    public static readonly DecoderConfig Config = new()
    {
        HiddenSize = 16,
        IntermediateSize = 24,
        LayerCount = 3,
        HeadCount = 2,
        KeyValueHeadCount = 1,
        HeadWidth = 8,
        VocabularySize = 37,
        ContextLength = 32,
    };

    public static DecoderModel Create(int seed = 3)
    {
        DecoderModel model = Initialization.Random(Config, seed);
        foreach ((_, MatrixLayer layer) in model.Matrices())
            foreach (ref float value in ((DenseWeight)layer.Weight).Values.Data)
                value *= 12;
        return model;
    }

    /// <summary>A copy in which the matrices that <paramref name="chosen"/> names are rounded to a coarse grid.</summary>
    public static DecoderModel Rounded(DecoderModel model, Func<string, bool> chosen)
    {
        Dictionary<string, Weight> weights = model.Matrices().ToDictionary(part => part.Name + ".weight", part => part.Layer.Weight);
        Dictionary<string, Tensor> vectors = model.AllVectors().ToDictionary(part => part.Name, part => part.Vector);
        return new DecoderModel(model.Config, (name, shape) => Copy(weights[name], chosen(name)), (name, _) => vectors[name]);

        static DenseWeight Copy(Weight weight, bool rough)
        {
            float[] values = weight.ToDense();
            if (rough)
                foreach (ref float value in values.AsSpan())
                    value = MathF.Round(value / 0.15f) * 0.15f;
            return new DenseWeight(Tensor.From(weight.Shape, values));
        }
    }

    /// <summary>Windows of random ids.</summary>
    public static List<ReadOnlyMemory<int>> Windows(int count, int length)
    {
        Random random = new(5);
        return [.. Enumerable.Range(0, count).Select(_ => new ReadOnlyMemory<int>([.. Enumerable.Range(0, length).Select(_ => random.Next(Config.VocabularySize))]))];
    }
}
