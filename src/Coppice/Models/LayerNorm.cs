using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>y = gain * (x - mean) / sqrt(variance + epsilon) + bias, row by row (Ba et al. 2016).</summary>
public sealed class LayerNorm(Tensor gain, Tensor bias, float epsilon) : Normalization
{
    /// <summary>[width].</summary>
    public Tensor Gain { get; } = gain;

    /// <summary>[width].</summary>
    public Tensor Bias { get; } = bias;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Vector)> Vectors => [("weight", Gain), ("bias", Bias)];

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, ForwardContext context) => LayerNormalize.Apply(context, x, Gain, Bias, epsilon);
}
