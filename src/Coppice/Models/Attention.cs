using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>Self-attention; query heads share key-value heads in equal groups (Ainslie et al. 2023).</summary>
public sealed class Attention(Linear query, Linear key, Linear value, Linear output, AttentionOptions options) : Layer
{
    /// <summary>[heads * head width, width].</summary>
    public Linear Query { get; } = query;

    /// <summary>[key-value heads * head width, width].</summary>
    public Linear Key { get; } = key;

    /// <summary>[key-value heads * head width, width].</summary>
    public Linear Value { get; } = value;

    /// <summary>[width, heads * head width].</summary>
    public Linear Output { get; } = output;

    /// <summary>Query heads.</summary>
    public int Heads => options.Heads;

    /// <summary>Key-value heads; divides <see cref="Heads"/>.</summary>
    public int KeyValueHeads => options.KeyValueHeads;

    /// <summary>Numbers a head.</summary>
    public int HeadWidth => options.HeadWidth;

    /// <summary>Numbers that a token's keys, or its values, take.</summary>
    public int KeyValueWidth => KeyValueHeads * HeadWidth;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children =>
    [
        ("q_proj", Query), ("k_proj", Key), ("v_proj", Value),
        .. options.QueryNorm is { } q && options.KeyNorm is { } k ? [("q_norm", q), ("k_norm", k)] : Array.Empty<(string, Layer)>(),
        ("o_proj", Output),
    ];

    /// <summary>[tokens, width] to the same; where the batch continues caches, its keys and values are added to them at block <paramref name="index"/>.</summary>
    public Tensor Forward(Tensor x, Batch batch, int index, ForwardContext context)
    {
        Tensor q = Placed(Query.Forward(x, context), options.QueryNorm), k = Placed(Key.Forward(x, context), options.KeyNorm);
        Tensor v = Value.Forward(x, context);
        Tensor mixed = batch.Caches.IsEmpty
            ? GroupedQueryAttention.Apply(context, q, k, v, batch.Sequences, options.Shape)
            : GroupedQueryAttention.Continue(context, q, k, v, batch.CacheBlocks(index), batch.Queries, options.Shape);
        // Queries and keys stay as they are: the way back takes e to the power of their products, beside sums that were taken of the exact ones.
        context.Shelve(v);
        Tensor y = Output.Forward(mixed, context);
        context.Shelve(mixed);
        return y;

        Tensor Placed(Tensor rows, RmsNorm? norm)
        {
            Tensor normed = norm is null ? rows : norm.Forward(rows, context);
            return options.Rotary is { } rotary ? rotary.Rotate(context, normed, batch.Positions) : normed;
        }
    }
}
