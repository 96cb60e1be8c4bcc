using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Training;

/// <summary>Random weights to train from.</summary>
public static class Initialization
{
    /// <summary>A Llama model with weights from N(0, 0.02^2); products that write to the residual stream are narrower by sqrt(2 * layers) (Radford et al. 2019). Gains are one.</summary>
    public static DecoderModel Random(DecoderConfig config, int seed)
    {
        config.Validate("configuration");
        Random random = new(seed);
        return new DecoderModel(config, Matrix, Ones);

        Weight Matrix(string name, Shape shape)
        {
            bool residual = name.EndsWith("o_proj.weight", StringComparison.Ordinal) || name.EndsWith("down_proj.weight", StringComparison.Ordinal);
            double deviation = residual ? 0.02 / Math.Sqrt(2 * config.LayerCount) : 0.02;
            Tensor tensor = new(shape);
            foreach (ref float value in tensor.Data)
                value = (float)(deviation * Gaussian(random));
            return new DenseWeight(tensor);
        }

        static Tensor Ones(string name, Shape shape)
        {
            Tensor tensor = new(shape);
            tensor.Data.Fill(1);
            return tensor;
        }
    }

    // Box and Muller 1958.
    internal static double Gaussian(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
