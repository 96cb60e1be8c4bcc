using System.Numerics.Tensors;

namespace Coppice.Tensors;

/// <summary>What the chosen experts' shares are of.</summary>
public enum ExpertShares
{
    /// <summary>Of the chosen experts alone: they add up to 1.</summary>
    Chosen,

    /// <summary>Of all experts: they add up to less than 1.</summary>
    All,
}

/// <summary>Which experts each token goes to, and how much of their results it takes: the softmax of its scores, of which the largest count (Shazeer et al. 2017). Equal scores go to the lower expert.</summary>
internal readonly struct Routing
{
    readonly ReadOnlyMemory<int> starts, rows, slots;

    Routing(Tensor shares, ReadOnlyMemory<int> starts, ReadOnlyMemory<int> rows, ReadOnlyMemory<int> slots) => (Shares, this.starts, this.rows, this.slots) = (shares, starts, rows, slots);

    /// <summary>[tokens, experts a token].</summary>
    public Tensor Shares { get; }

    /// <summary>The tokens that go to an expert, in order.</summary>
    public ReadOnlyMemory<int> RowsOf(int expert) => Of(rows, expert);

    /// <summary>Where in <see cref="Shares"/> each of these tokens has its share.</summary>
    public ReadOnlyMemory<int> SlotsOf(int expert) => Of(slots, expert);

    ReadOnlyMemory<int> Of(ReadOnlyMemory<int> list, int expert) => list[starts.Span[expert]..starts.Span[expert + 1]];

    /// <summary>scores [tokens, experts] to the <paramref name="chosen"/> best experts of each token.</summary>
    public static Routing Of(ComputeContext context, Tensor scores, int chosen, ExpertShares of)
    {
        int tokens = scores.Shape.Rows, experts = scores.Shape.Columns;
        bool records = context.Records(scores);
        Tensor shares = context.Result([tokens, chosen], records), probabilities = context.Arena.Rent(scores.Shape);
        Memory<int> picked = context.Arena.RentRows(tokens * chosen), starts = context.Arena.RentRows(experts + 1), rows = context.Arena.RentRows(tokens * chosen), slots = context.Arena.RentRows(tokens * chosen);
        for (int t = 0; t < tokens; t++)
        {
            Span<float> p = probabilities.Data.Slice(t * experts, experts);
            Softmax(scores.Data.Slice(t * experts, experts), p);
            Span<int> best = picked.Span.Slice(t * chosen, chosen);
            Choose(p, best);
            Span<float> share = shares.Data.Slice(t * chosen, chosen);
            for (int i = 0; i < chosen; i++)
                share[i] = p[best[i]];
            if (of == ExpertShares.Chosen)
                TensorPrimitives.Divide(share, TensorPrimitives.Sum<float>(share), share);
        }
        Group(picked.Span, chosen, starts.Span, rows.Span, slots.Span);
        if (records)
            context.Tape!.Record<Node>(shares).Set(scores, shares, probabilities, picked, of);
        return new Routing(shares, starts, rows, slots);
    }

    static void Softmax(ReadOnlySpan<float> scores, Span<float> p)
    {
        float max = TensorPrimitives.Max(scores), sum = 0;
        for (int i = 0; i < p.Length; i++)
            sum += p[i] = MathF.Exp(scores[i] - max);
        TensorPrimitives.Divide(p, sum, p);
    }

    // In the order of the experts, so that a token's results add up in the same order whatever else is computed beside it.
    static void Choose(ReadOnlySpan<float> p, Span<int> best)
    {
        for (int i = 0; i < best.Length; i++)
        {
            int most = -1;
            for (int e = 0; e < p.Length; e++)
                if (!best[..i].Contains(e) && (most < 0 || p[e] > p[most]))
                    most = e;
            best[i] = most;
        }
        best.Sort();
    }

    static void Group(ReadOnlySpan<int> picked, int chosen, Span<int> starts, Span<int> rows, Span<int> slots)
    {
        starts.Clear();
        foreach (int expert in picked)
            starts[expert + 1]++;
        for (int e = 1; e < starts.Length; e++)
            starts[e] += starts[e - 1];
        for (int slot = 0; slot < picked.Length; slot++)
        {
            int place = starts[picked[slot]]++;
            (rows[place], slots[place]) = (slot / chosen, slot);
        }
        // Each start has moved to its end, which is the next one's start.
        for (int e = starts.Length - 1; e > 0; e--)
            starts[e] = starts[e - 1];
        starts[0] = 0;
    }

    sealed class Node : TapeNode
    {
        Tensor scores = null!, shares = null!, probabilities = null!;
        ReadOnlyMemory<int> picked;
        ExpertShares of;

        public void Set(Tensor scores, Tensor shares, Tensor probabilities, ReadOnlyMemory<int> picked, ExpertShares of) =>
            (this.scores, this.shares, this.probabilities, this.picked, this.of) = (scores, shares, probabilities, picked, of);

        // Of a softmax y over the experts that count: ds = y (dy - dy.y). Over all experts, those that were not chosen have dy = 0.
        public override void Backward()
        {
            int chosen = shares.Shape.Columns, experts = scores.Shape.Columns;
            for (int t = 0; t < scores.Shape.Rows; t++)
            {
                ReadOnlySpan<float> y = shares.Data.Slice(t * chosen, chosen), dy = shares.Grad!.Data.Slice(t * chosen, chosen), p = probabilities.Data.Slice(t * experts, experts);
                ReadOnlySpan<int> best = picked.Span.Slice(t * chosen, chosen);
                Span<float> ds = scores.Grad!.Data.Slice(t * experts, experts);
                float dot = TensorPrimitives.Dot(y, dy);
                for (int i = 0; i < chosen; i++)
                    ds[best[i]] += y[i] * (of == ExpertShares.Chosen ? dy[i] - dot : dy[i]);
                if (of == ExpertShares.All)
                    TensorPrimitives.MultiplyAdd(p, -dot, ds, ds);
            }
        }
    }
}
