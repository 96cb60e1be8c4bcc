using System.Numerics.Tensors;

namespace Coppice.Tensors;

/// <summary>x + b, the same b for every row, in place.</summary>
static class AddBias
{
    /// <summary>x [rows, width] and bias [width] to x, changed.</summary>
    public static Tensor Apply(ComputeContext context, Tensor x, Tensor bias)
    {
        int width = bias.Shape.Length;
        if (x.Shape.Columns != width)
            throw new ArgumentException($"AddBias: {x.Shape} + {bias.Shape}, widths differ");
        if (context.Tape is not null && bias.RequiresGrad && !x.RequiresGrad)
            throw new ArgumentException("AddBias: a bias that trains on a result that does not");
        for (int row = 0; row < x.Shape.Rows; row++)
        {
            Span<float> at = x.Data.Slice(row * width, width);
            TensorPrimitives.Add(at, bias.Data, at);
        }
        if (context.Records(bias))
            context.Tape!.Record<Node>().Set(x, bias);
        return x;
    }

    sealed class Node : TapeNode
    {
        Tensor x = null!, bias = null!;

        public void Set(Tensor x, Tensor bias) => (this.x, this.bias) = (x, bias);

        // The gradient of what was added to is that of the sum: it stays where it is.
        public override void Backward()
        {
            int width = bias.Shape.Length;
            Span<float> gradient = bias.Grad!.Data;
            for (int row = 0; row < x.Shape.Rows; row++)
                TensorPrimitives.Add(gradient, x.Grad!.Data.Slice(row * width, width), gradient);
        }
    }
}
