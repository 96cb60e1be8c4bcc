namespace Coppice.Tensors;

/// <summary>y = gain * x / sqrt(mean(x^2) + epsilon), row by row.</summary>
static class RmsNormalize
{
    /// <summary>x [rows, width] and gain [width] to [rows, width]; where the gain is shorter, each part of a row of its length is normalized by itself (a head).</summary>
    public static Tensor Apply(ComputeContext context, Tensor x, Tensor gain, float epsilon)
    {
        if (x.Shape.Columns % gain.Shape.Length != 0)
            throw new ArgumentException($"RmsNorm: {x.Shape} with gain {gain.Shape}, widths differ");
        bool records = context.Records(x) || context.Records(gain);
        Tensor y = context.Result(x.Shape, records);
        Tensor inverse = context.Arena.Rent([x.Shape.Length / gain.Shape.Length]);
        Simd.RmsNorm.Forward(context.Pool, x.Data, gain.Data, epsilon, inverse.Data, y.Data);
        if (records)
            context.Tape!.Record<Node>(y).Set(context, x, gain, inverse, y);
        return y;
    }

    sealed class Node : TapeNode
    {
        WorkerPool pool = null!;
        Tensor x = null!, gain = null!, inverse = null!, y = null!, dx = null!, dgain = null!;

        public void Set(ComputeContext context, Tensor x, Tensor gain, Tensor inverse, Tensor y)
        {
            (pool, this.x, this.gain, this.inverse, this.y) = (context.Pool, x, gain, inverse, y);
            // The kernel gives both gradients; one that nobody wants goes to scratch.
            dx = x.RequiresGrad ? x : context.Arena.Rent(x.Shape);
            dgain = gain.RequiresGrad ? gain : context.Arena.Rent(gain.Shape);
        }

        public override void Backward() => Simd.RmsNorm.Backward(pool, x.Data, gain.Data, inverse.Data, y.Grad!.Data, (dx.Grad ?? dx).Data, (dgain.Grad ?? dgain).Data);
    }
}
