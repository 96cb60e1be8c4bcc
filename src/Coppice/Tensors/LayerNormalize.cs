namespace Coppice.Tensors;

/// <summary>y = gain * (x - mean) / sqrt(variance + epsilon) + bias, row by row.</summary>
static class LayerNormalize
{
    /// <summary>x [rows, width], gain and bias [width] to [rows, width].</summary>
    public static Tensor Apply(ComputeContext context, Tensor x, Tensor gain, Tensor bias, float epsilon)
    {
        if (gain.Shape.Length != x.Shape.Columns || bias.Shape.Length != x.Shape.Columns)
            throw new ArgumentException($"LayerNorm: {x.Shape} with gain {gain.Shape} and bias {bias.Shape}, widths differ");
        bool records = context.Records(x) || context.Records(gain) || context.Records(bias);
        Tensor y = context.Result(x.Shape, records), moments = context.Arena.Rent([x.Shape.Rows, 2]);
        Simd.LayerNorm.Forward(context.Pool, x.Data, gain.Data, bias.Data, epsilon, moments.Data, y.Data);
        if (records)
            context.Tape!.Record<Node>(y).Set(context, x, gain, bias, moments, y);
        return y;
    }

    sealed class Node : TapeNode
    {
        WorkerPool pool = null!;
        Tensor x = null!, gain = null!, moments = null!, y = null!, dx = null!, dgain = null!, dbias = null!;

        public void Set(ComputeContext context, Tensor x, Tensor gain, Tensor bias, Tensor moments, Tensor y)
        {
            (pool, this.x, this.gain, this.moments, this.y) = (context.Pool, x, gain, moments, y);
            // The kernel gives all three gradients; one that nobody wants goes to scratch.
            dx = x.RequiresGrad ? x : context.Arena.Rent(x.Shape);
            dgain = gain.RequiresGrad ? gain : context.Arena.Rent(gain.Shape);
            dbias = bias.RequiresGrad ? bias : context.Arena.Rent(bias.Shape);
        }

        public override void Backward() =>
            Simd.LayerNorm.Backward(pool, x.Data, gain.Data, moments.Data, y.Grad!.Data, (dx.Grad ?? dx).Data, (dgain.Grad ?? dgain).Data, (dbias.Grad ?? dbias).Data);
    }
}
