namespace Coppice.Tensors;

/// <summary>y = silu(gate) * up, with silu(g) = g / (1 + e^-g).</summary>
internal static class SwiGlu
{
    /// <summary>gate and up of one shape to a new tensor of it.</summary>
    public static Tensor Apply(ComputeContext context, Tensor gate, Tensor up)
    {
        if (gate.Shape != up.Shape)
            throw new ArgumentException($"SwiGlu: gate {gate.Shape} and up {up.Shape}, shapes differ");
        bool records = context.Records(gate) || context.Records(up);
        Tensor y = context.Result(gate.Shape, records);
        Simd.SwiGlu.Forward(context.Pool, gate.Data, up.Data, y.Data);
        if (records)
            context.Tape!.Record<Node>().Set(context.Pool, gate, up, y);
        return y;
    }

    sealed class Node : TapeNode
    {
        WorkerPool pool = null!;
        Tensor gate = null!, up = null!, y = null!;

        public void Set(WorkerPool pool, Tensor gate, Tensor up, Tensor y) => (this.pool, this.gate, this.up, this.y) = (pool, gate, up, y);

        public override void Backward() =>
            Simd.SwiGlu.Backward(pool, gate.Data, up.Data, y.Grad!.Data, gate.ClaimGradient(out Simd.Accumulate gateMode), gateMode, up.ClaimGradient(out Simd.Accumulate upMode), upMode);
    }
}
