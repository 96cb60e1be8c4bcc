using System.Numerics.Tensors;

namespace Coppice.Tensors;

/// <summary>Some rows of y += share * x, in place: what an expert made of its tokens joins the rest.</summary>
static class AddShares
{
    /// <summary>Row i of x [rows, width], times the number of <paramref name="shares"/> at slots[i], is added to row rows[i] of y, which has a gradient where any of them has.</summary>
    public static Tensor Apply(ComputeContext context, Tensor y, Tensor x, Tensor shares, ReadOnlyMemory<int> slots, ReadOnlyMemory<int> rows)
    {
        int width = y.Shape.Columns;
        if (x.Shape.Columns != width || x.Shape.Rows != rows.Length || slots.Length != rows.Length)
            throw new ArgumentException($"AddShares: {x.Shape} to {rows.Length} rows of {y.Shape} by {slots.Length} shares");
        for (int i = 0; i < rows.Length; i++)
        {
            Span<float> to = y.Data.Slice(rows.Span[i] * width, width);
            TensorPrimitives.MultiplyAdd(x.Data.Slice(i * width, width), shares.Data[slots.Span[i]], to, to);
        }
        if (context.Records(x) || context.Records(shares))
            context.Tape!.Record<Node>().Set(y, x, shares, slots, rows);
        return y;
    }

    sealed class Node : TapeNode
    {
        Tensor y = null!, x = null!, shares = null!;
        ReadOnlyMemory<int> slots, rows;

        public void Set(Tensor y, Tensor x, Tensor shares, ReadOnlyMemory<int> slots, ReadOnlyMemory<int> rows) => (this.y, this.x, this.shares, this.slots, this.rows) = (y, x, shares, slots, rows);

        // The gradient of what was added to is that of the sum: it stays where it is.
        public override void Backward()
        {
            int width = y.Shape.Columns;
            for (int i = 0; i < rows.Length; i++)
            {
                ReadOnlySpan<float> dy = y.Grad!.Data.Slice(rows.Span[i] * width, width);
                if (x.Grad is { } dx)
                    TensorPrimitives.MultiplyAdd(dy, shares.Data[slots.Span[i]], dx.Data.Slice(i * width, width), dx.Data.Slice(i * width, width));
                if (shares.Grad is { } ds)
                    ds.Data[slots.Span[i]] += TensorPrimitives.Dot(dy, x.Data.Slice(i * width, width));
            }
        }
    }
}
