using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Models;

/// <summary>Attention of a text's tokens to those of its source (Vaswani et al. 2017), added to what it read, and the norm of the sum.</summary>
public sealed class SourceAttention(Linear query, Linear key, Linear value, Linear output, Normalization norm, int heads) : Layer
{
    /// <summary>[width, width].</summary>
    public Linear Query { get; } = query;

    /// <summary>[width, source's width].</summary>
    public Linear Key { get; } = key;

    /// <summary>[width, source's width].</summary>
    public Linear Value { get; } = value;

    /// <summary>[width, width].</summary>
    public Linear Output { get; } = output;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children => [("q_proj", Query), ("k_proj", Key), ("v_proj", Value), ("o_proj", Output), ("norm", norm)];

    /// <summary>Queries read one input, keys and values another.</summary>
    internal IReadOnlyList<Stage> Stages => [new([Query], [Key, Value]), new([Output])];

    /// <summary>[tokens, width] to the same, with the batch's <see cref="Batch.Source"/>.</summary>
    public Tensor Forward(Tensor x, Batch batch, int index, ForwardContext context)
    {
        EncodedSource source = batch.Source ?? throw new ArgumentException("SourceAttention: the batch has no source");
        if (source.Sequences.Length != batch.Sequences.Length)
            throw new ArgumentException($"SourceAttention: {batch.Sequences.Length} sequences of {source.Sequences.Length} sources");
        (Tensor keys, Tensor values) = source.KeysAndValues(index, states => (Key.Forward(states, context), Value.Forward(states, context)), context);
        AttentionShape shape = new(heads, heads, Query.Weight.Rows / heads) { Sight = Sight.All };
        Tensor mixed = GroupedQueryAttention.Apply(context, Query.Forward(x, context), keys, values, batch.Sequences, source.Sequences, shape);
        return norm.Forward(Add.Apply(context, x, Output.Forward(mixed, context)), context);
    }
}
