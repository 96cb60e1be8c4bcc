using System.Numerics.Tensors;

namespace Coppice.Tensors;

/// <summary>z = x + y, element by element.</summary>
internal static class Add
{
    /// <summary>x and y of one shape to a new tensor of it.</summary>
    public static Tensor Apply(ComputeContext context, Tensor x, Tensor y)
    {
        if (x.Shape != y.Shape)
            throw new ArgumentException($"Add: {x.Shape} + {y.Shape}, shapes differ");
        bool records = context.Records(x) || context.Records(y);
        Tensor z = context.Result(x.Shape, records);
        TensorPrimitives.Add(x.Data, y.Data, z.Data);
        if (records)
            context.Tape!.Record<Node>().Set(x, y, z);
        return z;
    }

    sealed class Node : TapeNode
    {
        Tensor x = null!, y = null!, z = null!;

        public void Set(Tensor x, Tensor y, Tensor z) => (this.x, this.y, this.z) = (x, y, z);

        public override void Backward()
        {
            ReadOnlySpan<float> dz = z.Grad!.Data;
            if (x.Grad is { } dx)
                TensorPrimitives.Add(dx.Data, dz, dx.Data);
            if (y.Grad is { } dy)
                TensorPrimitives.Add(dy.Data, dz, dy.Data);
        }
    }
}
