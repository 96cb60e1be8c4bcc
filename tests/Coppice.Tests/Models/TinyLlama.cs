using Coppice.Models;
using Coppice.Training;

namespace Coppice.Tests.Models;

/// <summary>A random model small enough for plain loops, with weights large enough that everything in it matters.</summary>
static class TinyLlama
{
    public static DecoderConfig Config { get; } = new()
    {
        HiddenSize = 12,
        IntermediateSize = 20,
        LayerCount = 2,
        HeadCount = 4,
        KeyValueHeadCount = 2,
        HeadWidth = 6,
        VocabularySize = 17,
        ContextLength = 32,
    };

    public static DecoderModel Create(HeadKind head = HeadKind.Tied, int seed = 1, int layers = 2)
    {
        DecoderModel model = Initialization.Random(Config with { Head = head, LayerCount = layers }, seed);
        foreach (Parameter parameter in Parameter.Of(model))
        {
            Random random = new(seed + parameter.Name.Length);
            foreach (ref float value in parameter.Tensor.Data)
                value = parameter.Kind == ParameterKind.Matrix ? value * 15 : value + 0.3f * random.NextSingle();
            parameter.Tensor.DropGradient();
        }
        return model;
    }

    public static Dictionary<string, double[]> Parameters(DecoderModel model)
    {
        Dictionary<string, double[]> parameters = model.Matrices().ToDictionary(part => part.Name + ".weight", part => Array.ConvertAll(part.Layer.Weight.ToDense(), value => (double)value));
        foreach ((string name, Coppice.Tensors.Tensor vector) in model.AllVectors())
            parameters.Add(name, Array.ConvertAll(vector.Data.ToArray(), value => (double)value));
        return parameters;
    }
}
