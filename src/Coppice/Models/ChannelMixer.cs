using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>The part of a block that works on each token by itself: a <see cref="FeedForward"/>, or a choice among several.</summary>
public abstract class ChannelMixer : Layer
{
    /// <summary>Its matrices in the order in which they compute.</summary>
    public abstract IReadOnlyList<Stage> Stages { get; }

    /// <summary>Matrices, among those of <see cref="Stages"/>, that choose who computes: small, and not compressed unless a recipe names them.</summary>
    public virtual IReadOnlyList<Linear> Routers => [];

    /// <summary>[tokens, width] to the same.</summary>
    public abstract Tensor Forward(Tensor x, ForwardContext context);
}
