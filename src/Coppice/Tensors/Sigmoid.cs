namespace Coppice.Tensors;

/// <summary>y = 1 / (1 + e^-x), element by element.</summary>
static class Sigmoid
{
    /// <summary>x to a new tensor of its shape.</summary>
    public static Tensor Apply(ComputeContext context, Tensor x)
    {
        bool records = context.Records(x);
        Tensor y = context.Result(x.Shape, records);
        // One by one: a vector's exponential differs in its last bit from that of a number beside vectors.
        for (int i = 0; i < y.Data.Length; i++)
            y.Data[i] = 1 / (1 + MathF.Exp(-x.Data[i]));
        if (records)
            context.Tape!.Record<Node>(y).Set(x, y);
        return y;
    }

    sealed class Node : TapeNode
    {
        Tensor x = null!, y = null!;

        public void Set(Tensor x, Tensor y) => (this.x, this.y) = (x, y);

        public override void Backward()
        {
            ReadOnlySpan<float> dy = y.Grad!.Data;
            for (int i = 0; i < dy.Length; i++)
                x.Grad!.Data[i] += dy[i] * y.Data[i] * (1 - y.Data[i]);
        }
    }
}
