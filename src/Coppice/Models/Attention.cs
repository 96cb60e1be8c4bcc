using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>Causal self-attention with rotary positions; query heads share key-value heads in equal groups (Ainslie et al. 2023).</summary>
public sealed class Attention(Linear query, Linear key, Linear value, Linear output, RotaryTable rotary, int heads, int keyValueHeads) : Layer
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
    public int Heads { get; } = heads;

    /// <summary>Key-value heads; divides <see cref="Heads"/>.</summary>
    public int KeyValueHeads { get; } = keyValueHeads;

    /// <summary>Numbers a head.</summary>
    public int HeadWidth => rotary.HeadWidth;

    /// <summary>Numbers that a token's keys, or its values, take.</summary>
    public int KeyValueWidth => KeyValueHeads * HeadWidth;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children => [("q_proj", Query), ("k_proj", Key), ("v_proj", Value), ("o_proj", Output)];

    /// <summary>[tokens, width] to the same; where the batch continues caches, its keys and values are added to them at block <paramref name="index"/>.</summary>
    public Tensor Forward(Tensor x, Batch batch, int index, ForwardContext context)
    {
        Tensor q = rotary.Rotate(context, Query.Forward(x, context), batch.Positions);
        Tensor k = rotary.Rotate(context, Key.Forward(x, context), batch.Positions);
        Tensor v = Value.Forward(x, context);
        Tensor mixed = batch.Caches.IsEmpty
            ? GroupedQueryAttention.Apply(context, q, k, v, batch.Sequences, Heads, KeyValueHeads)
            : Continue(q, k, v, batch, index, context);
        return Output.Forward(mixed, context);
    }

    Tensor Continue(Tensor q, Tensor k, Tensor v, Batch batch, int index, ForwardContext context)
    {
        ReadOnlySpan<KeyValueBlock> caches = batch.CacheBlocks(index);
        for (int i = 0; i < caches.Length; i++)
            caches[i].Write(batch.Queries[i].Past, k.Rows(batch.Queries[i].Rows), v.Rows(batch.Queries[i].Rows));
        return GroupedQueryAttention.Continue(context, q, caches, batch.Queries, Heads, KeyValueHeads);
    }
}
