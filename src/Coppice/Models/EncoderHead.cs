using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>output(norm(f(dense(x)))): a classifier over the first token, or what stands in a token's place.</summary>
public sealed class EncoderHead(Linear dense, Activation activation, LayerNorm? norm, Linear? output, Tensor? bias) : Layer
{
    /// <summary>[width, width].</summary>
    public Linear Dense { get; } = dense;

    /// <summary>[classes, width], or the embedding's table; none where the model only carries a pooler.</summary>
    public Linear? Output { get; } = output;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children
    {
        get
        {
            yield return ("dense", Dense);
            if (norm is not null)
                yield return ("norm", norm);
            // A tied product has no matrix of its own.
            if (Output is not null && bias is null)
                yield return ("out", Output);
        }
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Vector)> Vectors => bias is null ? [] : [("bias", bias)];

    /// <summary>[rows, width] to [rows, classes or vocabulary].</summary>
    public Tensor Forward(Tensor x, ForwardContext context)
    {
        Tensor y = Activate.Plain(context, activation, Dense.Forward(x, context));
        if (norm is not null)
            y = norm.Forward(y, context);
        if (Output is not null)
            y = Output.Forward(y, context);
        return bias is null ? y : AddBias.Apply(context, y, bias);
    }
}
