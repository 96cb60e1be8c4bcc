using Coppice.Tensors.Simd;

namespace Coppice.Tensors;

/// <summary>y = f(gate) * up, or y = f(x).</summary>
internal static class Activate
{
    /// <summary>gate and up of one shape to a new tensor of it.</summary>
    public static Tensor Gated(ComputeContext context, Activation activation, Tensor gate, Tensor up)
    {
        if (gate.Shape != up.Shape)
            throw new ArgumentException($"Activate: gate {gate.Shape} and up {up.Shape}, shapes differ");
        return activation switch
        {
            Activation.Silu => Gated<Silu>(context, gate, up),
            Activation.GeluTanh => Gated<GeluTanh>(context, gate, up),
            Activation.Gelu => Gated<Gelu>(context, gate, up),
            Activation.Relu => Gated<Relu>(context, gate, up),
            _ => Gated<Tanh>(context, gate, up),
        };
    }

    /// <summary>x to a new tensor of its shape.</summary>
    public static Tensor Plain(ComputeContext context, Activation activation, Tensor x) => activation switch
    {
        Activation.Silu => Plain<Silu>(context, x),
        Activation.GeluTanh => Plain<GeluTanh>(context, x),
        Activation.Gelu => Plain<Gelu>(context, x),
        Activation.Relu => Plain<Relu>(context, x),
        _ => Plain<Tanh>(context, x),
    };

    static Tensor Gated<T>(ComputeContext context, Tensor gate, Tensor up) where T : struct, IActivation
    {
        bool records = context.Records(gate) || context.Records(up);
        Tensor y = context.Result(gate.Shape, records);
        Gate.Forward<T>(context.Pool, gate.Data, up.Data, y.Data);
        if (records)
            context.Tape!.Record<GatedNode<T>>(y).Set(context, gate, up, y);
        return y;
    }

    static Tensor Plain<T>(ComputeContext context, Tensor x) where T : struct, IActivation
    {
        bool records = context.Records(x);
        Tensor y = context.Result(x.Shape, records);
        Gate.Forward<T>(context.Pool, x.Data, y.Data);
        if (records)
            context.Tape!.Record<PlainNode<T>>(y).Set(context.Pool, x, y);
        return y;
    }

    sealed class GatedNode<T> : TapeNode where T : struct, IActivation
    {
        WorkerPool pool = null!;
        Tensor gate = null!, up = null!, y = null!, dgate = null!, dup = null!;

        public void Set(ComputeContext context, Tensor gate, Tensor up, Tensor y)
        {
            (pool, this.gate, this.up, this.y) = (context.Pool, gate, up, y);
            // The kernel gives both gradients; one that nobody wants goes to scratch.
            dgate = gate.RequiresGrad ? gate : context.Arena.Rent(gate.Shape);
            dup = up.RequiresGrad ? up : context.Arena.Rent(up.Shape);
        }

        public override void Backward()
        {
            Accumulate gateMode = Gradient(dgate, out Span<float> ofGate), upMode = Gradient(dup, out Span<float> ofUp);
            Gate.Backward<T>(pool, gate.Data, up.Data, y.Grad!.Data, ofGate, gateMode, ofUp, upMode);

            static Accumulate Gradient(Tensor input, out Span<float> gradient)
            {
                Accumulate mode = Accumulate.Overwrite;
                gradient = input.RequiresGrad ? input.ClaimGradient(out mode) : input.Data;
                return mode;
            }
        }
    }

    sealed class PlainNode<T> : TapeNode where T : struct, IActivation
    {
        WorkerPool pool = null!;
        Tensor x = null!, y = null!;

        public void Set(WorkerPool pool, Tensor x, Tensor y) => (this.pool, this.x, this.y) = (pool, x, y);

        public override void Backward() => Gate.Backward<T>(pool, x.Data, y.Grad!.Data, x.ClaimGradient(out Accumulate mode), mode);
    }
}
