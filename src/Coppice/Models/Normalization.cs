using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>Brings the rows of hidden states to one size.</summary>
public abstract class Normalization : Layer
{
    /// <summary>[tokens, width] to the same.</summary>
    public abstract Tensor Forward(Tensor x, ForwardContext context);
}
