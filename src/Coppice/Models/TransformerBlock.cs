using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>The norms of a block; which there are depends on the family.</summary>
/// <param name="BeforeAttention">Of what attention reads.</param>
/// <param name="AfterAttention">Of what attention gives.</param>
/// <param name="BeforeFeedForward">Of what the feed-forward part reads.</param>
/// <param name="AfterFeedForward">Of what the feed-forward part gives.</param>
public sealed record BlockNorms(Normalization? BeforeAttention, Normalization? AfterAttention, Normalization? BeforeFeedForward, Normalization? AfterFeedForward);

/// <summary>How a block's two parts are joined.</summary>
public enum Residual
{
    /// <summary>x + attention(x), then that plus feedForward of it.</summary>
    Sequential,

    /// <summary>x + attention(x) + feedForward(x).</summary>
    Parallel,

    /// <summary>norm(x + attention(x)), then the norm of that plus feedForward of it (Vaswani et al. 2017): the norms behind are those of sums.</summary>
    Normed,
}

/// <summary>Attention and a feed-forward part, each added to what it read, with norms around them.</summary>
public sealed class TransformerBlock(BlockNorms norms, Attention attention, ChannelMixer feedForward, Residual residual, SourceAttention? source = null) : Layer
{
    /// <summary>The norms.</summary>
    public BlockNorms Norms => norms;

    /// <summary>Mixes tokens.</summary>
    public Attention Attention { get; } = attention;

    /// <summary>Mixes in what a source text's encoder gave, between the other two; none in models without one.</summary>
    public SourceAttention? Source { get; } = source;

    /// <summary>Mixes channels.</summary>
    public ChannelMixer FeedForward { get; } = feedForward;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children
    {
        get
        {
            if (norms.BeforeAttention is { } before)
                yield return ("input_layernorm", before);
            yield return ("self_attn", Attention);
            // Where there is a norm behind attention, it has the name that is otherwise that of the next one.
            if (norms.AfterAttention is { } after)
                yield return ("post_attention_layernorm", after);
            if (norms.BeforeFeedForward is { } second)
                yield return (norms.AfterAttention is null ? "post_attention_layernorm" : "pre_feedforward_layernorm", second);
            if (Source is not null)
                yield return ("encoder_attn", Source);
            yield return ("mlp", FeedForward);
            if (norms.AfterFeedForward is { } last)
                yield return ("post_feedforward_layernorm", last);
        }
    }

    /// <summary>The matrices in the order in which they compute: the stages of compression.</summary>
    public IReadOnlyList<Stage> Stages => [new([Attention.Query, Attention.Key, Attention.Value]), new([Attention.Output]), .. Source?.Stages ?? [], .. FeedForward.Stages];

    /// <summary>x [tokens, width] to the same; <paramref name="index"/> is the block's place in the model.</summary>
    public Tensor Forward(Tensor x, Batch batch, int index, ForwardContext context)
    {
        Tensor read = Normed(norms.BeforeAttention, x);
        Tensor attended = Attention.Forward(read, batch, index, context);
        if (residual == Residual.Normed)
        {
            Tensor middle = Normed(norms.AfterAttention, Joined(x, attended, read, norms.BeforeAttention));
            if (Source is not null)
                middle = Source.Forward(middle, batch, index, context);
            return Normed(norms.AfterFeedForward, Joined(middle, FeedForward.Forward(middle, context), middle, norms.BeforeFeedForward));
        }
        Tensor y = Joined(x, Normed(norms.AfterAttention, attended), read, norms.BeforeAttention);
        read = Normed(norms.BeforeFeedForward, residual == Residual.Parallel ? x : y);
        return Joined(y, Normed(norms.AfterFeedForward, FeedForward.Forward(read, context)), read, norms.BeforeFeedForward);

        Tensor Normed(Normalization? norm, Tensor rows) => norm is null ? rows : norm.Forward(rows, context);

        // The way back wants of a part what it read, but not what it gave. Without a norm it read the stream itself, which is left alone.
        Tensor Joined(Tensor stream, Tensor part, Tensor read, Normalization? norm)
        {
            Tensor sum = Add.Apply(context, stream, part);
            context.Discard(part);
            if (norm is not null)
                context.Shelve(read);
            return sum;
        }
    }
}
