using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>y = gain * x / sqrt(mean(x^2) + epsilon), row by row (Zhang and Sennrich 2019).</summary>
public sealed class RmsNorm(Tensor gain, float epsilon) : Layer
{
    /// <summary>[width].</summary>
    public Tensor Gain { get; } = gain;

    /// <summary>Added to the mean square.</summary>
    public float Epsilon { get; } = epsilon;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Vector)> Vectors => [("weight", Gain)];

    /// <summary>[tokens, width] to the same.</summary>
    public Tensor Forward(Tensor x, ForwardContext context) => RmsNormalize.Apply(context, x, Gain, Epsilon);
}
