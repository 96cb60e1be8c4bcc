using Coppice.Tensors.Simd;

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
        Vectors.Add(context.Pool, x.Data, y.Data, z.Data);
        if (records)
            context.Tape!.Record<Node>(z).Set(context.Pool, x, y, z);
        return z;
    }

    sealed class Node : TapeNode
    {
        WorkerPool pool = null!;
        Tensor x = null!, y = null!, z = null!;

        public void Set(WorkerPool pool, Tensor x, Tensor y, Tensor z) => (this.pool, this.x, this.y, this.z) = (pool, x, y, z);

        public override void Backward()
        {
            if (x.RequiresGrad)
                Give(z.Grad!.Data, x);
            if (y.RequiresGrad && !z.TryMoveGradient(y))
                Give(z.Grad!.Data, y);
        }

        void Give(ReadOnlySpan<float> dz, Tensor input)
        {
            Span<float> gradient = input.ClaimGradient(out Accumulate mode);
            if (mode == Accumulate.Overwrite)
                Vectors.Copy(pool, dz, gradient);
            else
                Vectors.Add(pool, gradient, dz, gradient);
        }
    }
}
