using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>x + attention(norm(x)), then x + feedForward(norm(x)).</summary>
public sealed class TransformerBlock(RmsNorm attentionNorm, Attention attention, RmsNorm feedForwardNorm, FeedForward feedForward) : Layer
{
    /// <summary>Before attention.</summary>
    public RmsNorm AttentionNorm { get; } = attentionNorm;

    /// <summary>Mixes tokens.</summary>
    public Attention Attention { get; } = attention;

    /// <summary>Before the feed-forward part.</summary>
    public RmsNorm FeedForwardNorm { get; } = feedForwardNorm;

    /// <summary>Mixes channels.</summary>
    public FeedForward FeedForward { get; } = feedForward;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children =>
        [("input_layernorm", AttentionNorm), ("self_attn", Attention), ("post_attention_layernorm", FeedForwardNorm), ("mlp", FeedForward)];

    /// <summary>The matrices in groups that read the same input, in the order in which they compute: the stages of compression.</summary>
    public IReadOnlyList<IReadOnlyList<Linear>> Stages =>
    [
        [Attention.Query, Attention.Key, Attention.Value],
        [Attention.Output],
        [FeedForward.Gate, FeedForward.Up],
        [FeedForward.Down],
    ];

    /// <summary>x [tokens, width] to the same; <paramref name="index"/> is the block's place in the model.</summary>
    public Tensor Forward(Tensor x, Batch batch, int index, ForwardContext context)
    {
        Tensor y = Add.Apply(context, x, Attention.Forward(AttentionNorm.Forward(x, context), batch, index, context));
        return Add.Apply(context, y, FeedForward.Forward(FeedForwardNorm.Forward(y, context), context));
    }
}
