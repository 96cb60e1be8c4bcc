using System.Numerics.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>x times a factor, in place.</summary>
static class Rescale
{
    /// <summary>x, changed.</summary>
    public static Tensor Apply(ComputeContext context, Tensor x, float factor)
    {
        TensorPrimitives.Multiply(x.Data, factor, x.Data);
        if (context.Records(x))
            context.Tape!.Record<Node>().Set(x, factor);
        return x;
    }

    sealed class Node : TapeNode
    {
        Tensor x = null!;
        float factor;

        public void Set(Tensor x, float factor) => (this.x, this.factor) = (x, factor);

        public override void Backward() => TensorPrimitives.Multiply(x.Grad!.Data, factor, x.Grad.Data);
    }
}
