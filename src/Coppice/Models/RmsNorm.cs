using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>y = gain * x / sqrt(mean(x^2) + epsilon), row by row (Zhang and Sennrich 2019); with a gain shorter than a row, part by part.</summary>
public sealed class RmsNorm(Tensor gain, float epsilon) : Normalization
{
    /// <summary>[width].</summary>
    public Tensor Gain { get; } = gain;

    /// <summary>Added to the mean square.</summary>
    public float Epsilon { get; } = epsilon;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Vector)> Vectors => [("weight", Gain)];

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, ForwardContext context) => RmsNormalize.Apply(context, x, Gain, Epsilon);
}
