using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>softmax(scale q k^T) v, query heads in groups that share keys and values.</summary>
internal static class GroupedQueryAttention
{
    /// <summary>q [tokens, heads * d], k and v [tokens, keyValueHeads * d] to [tokens, heads * d]; each sequence sees itself alone.</summary>
    public static Tensor Apply(ComputeContext context, Tensor q, Tensor k, Tensor v, ReadOnlyMemory<Sequence> sequences, AttentionShape shape) =>
        Apply(context, q, k, v, sequences, sequences, shape);

    /// <summary>The same with keys and values of other sequences, one for each of the queries'.</summary>
    public static Tensor Apply(ComputeContext context, Tensor q, Tensor k, Tensor v, ReadOnlyMemory<Sequence> sequences, ReadOnlyMemory<Sequence> keys, AttentionShape shape)
    {
        bool records = context.Records(q) || context.Records(k) || context.Records(v);
        Tensor y = context.Result(q.Shape, records), logSums = context.Arena.Rent([q.Shape.Rows, shape.Heads]);
        CausalAttention.Forward(context.Pool, q.Data, k.Data, v.Data, sequences.Span, keys.Span, shape, y.Data, logSums.Data);
        if (records)
            context.Tape!.Record<Node>(y).Set(context, q, k, v, sequences, keys, shape, y, logSums);
        return y;
    }

    /// <summary>q [tokens, heads * d], k and v [tokens, keyValueHeads * d] of sequences that continue what stands in <paramref name="caches"/>, one a sequence: adds keys and values to them.</summary>
    public static Tensor Continue(ComputeContext context, Tensor q, Tensor k, Tensor v, ReadOnlySpan<KeyValueBlock> caches, ReadOnlySpan<CachedQueries> sequences, AttentionShape shape)
    {
        Tensor y = context.Result(q.Shape, differentiable: false);
        CachedAttention.Continue(context.Pool, q.Data, k.Data, v.Data, caches, sequences, shape, y.Data);
        return y;
    }

    sealed class Node : TapeNode
    {
        WorkerPool pool = null!;
        Tensor q = null!, k = null!, v = null!, y = null!, logSums = null!, dq = null!, dk = null!, dv = null!;
        ReadOnlyMemory<Sequence> sequences, keys;
        AttentionShape shape;

        public void Set(
            ComputeContext context, Tensor q, Tensor k, Tensor v, ReadOnlyMemory<Sequence> sequences, ReadOnlyMemory<Sequence> keys, AttentionShape shape, Tensor y, Tensor logSums)
        {
            (pool, this.q, this.k, this.v, this.sequences, this.keys, this.shape, this.y, this.logSums) = (context.Pool, q, k, v, sequences, keys, shape, y, logSums);
            // The kernel gives all three gradients; one that nobody wants goes to scratch.
            dq = q.RequiresGrad ? q : context.Arena.Rent(q.Shape);
            dk = k.RequiresGrad ? k : context.Arena.Rent(k.Shape);
            dv = v.RequiresGrad ? v : context.Arena.Rent(v.Shape);
        }

        public override void Backward()
        {
            var modes = new AttentionModes(Gradient(dq, out Span<float> queries), Gradient(dk, out Span<float> keyGradients), Gradient(dv, out Span<float> values));
            CausalAttention.Backward(pool, q.Data, k.Data, v.Data, y.Data, y.Grad!.Data, logSums.Data, sequences.Span, keys.Span, shape, queries, keyGradients, values, modes);
        }

        static Accumulate Gradient(Tensor input, out Span<float> gradient)
        {
            Accumulate mode = Accumulate.Overwrite;
            gradient = input.RequiresGrad ? input.ClaimGradient(out mode) : input.Data;
            return mode;
        }
    }
}
