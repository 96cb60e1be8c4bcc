using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>y = cap tanh(x / cap) (Bello et al. 2016).</summary>
static unsafe class Softcap
{
    /// <summary>x to a new tensor of its shape.</summary>
    public static Tensor Apply(ComputeContext context, Tensor x, float cap)
    {
        bool records = context.Records(x);
        Tensor y = context.Result(x.Shape, records);
        fixed (float* px = x.Data, py = y.Data)
            Elementwise.Run(context.Pool, new ForwardOp { X = px, Y = py, Factor = 1 / cap }, x.Data.Length);
        if (records)
            context.Tape!.Record<Node>(y).Set(context.Pool, x, y, cap);
        return y;
    }

    struct ForwardOp : IElementwise
    {
        public float* X, Y;
        public float Factor;

        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.Multiply(TL.Broadcast(1 / Factor), Exponential.Tanh<TL, TV>(TL.Multiply(TL.Broadcast(Factor), TL.Load(X + i)))), Y + i);
    }

    struct BackwardOp : IElementwise
    {
        public float* X, Dy, Dx;
        public float Factor;
        public Accumulate Mode;

        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV tanh = Exponential.Tanh<TL, TV>(TL.Multiply(TL.Broadcast(Factor), TL.Load(X + i)));
            TV slope = TL.Subtract(TL.Broadcast(1f), TL.Multiply(tanh, tanh));
            TL.Store(TL.MultiplyAdd(TL.Load(Dy + i), slope, Mode == Accumulate.Add ? TL.Load(Dx + i) : default), Dx + i);
        }
    }

    sealed class Node : TapeNode
    {
        WorkerPool pool = null!;
        Tensor x = null!, y = null!;
        float cap;

        public void Set(WorkerPool pool, Tensor x, Tensor y, float cap) => (this.pool, this.x, this.y, this.cap) = (pool, x, y, cap);

        // From x: the loss may have put its gradient where y was.
        public override void Backward()
        {
            fixed (float* px = x.Data, pdy = y.Grad!.Data, pdx = x.ClaimGradient(out Accumulate mode))
                Elementwise.Run(pool, new BackwardOp { X = px, Dy = pdy, Dx = pdx, Factor = 1 / cap, Mode = mode }, x.Data.Length);
        }
    }
}
