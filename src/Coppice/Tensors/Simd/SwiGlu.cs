using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>The gate of a Llama feed-forward (Shazeer 2020): y = silu(gate) up, silu(x) = x / (1 + e^-x).</summary>
internal static unsafe class SwiGlu
{
    /// <summary>y = silu(gate) * up, element by element; y may be one of them.</summary>
    public static void Forward(WorkerPool pool, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> y)
    {
        Vectors.SameLength(gate.Length, y.Length);
        Vectors.SameLength(up.Length, y.Length);
        fixed (float* pg = gate, pu = up, py = y)
            Elementwise.Run(pool, new ForwardOp { Gate = pg, Up = pu, Y = py }, y.Length);
    }

    /// <summary>Writes or adds the gradients, each by its mode: dgate = or += dy up s (1 + gate (1 - s)), dup = or += dy gate s, with s = 1 / (1 + e^-gate).</summary>
    public static void Backward(
        WorkerPool pool, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, ReadOnlySpan<float> dy,
        Span<float> dGate, Accumulate gateMode, Span<float> dUp, Accumulate upMode)
    {
        Vectors.SameLength(gate.Length, dy.Length);
        Vectors.SameLength(up.Length, dy.Length);
        Vectors.SameLength(dGate.Length, dy.Length);
        Vectors.SameLength(dUp.Length, dy.Length);
        fixed (float* pg = gate, pu = up, pdy = dy, pdg = dGate, pdu = dUp)
            Elementwise.Run(pool, new BackwardOp { Gate = pg, Up = pu, Dy = pdy, DGate = pdg, DUp = pdu, GateMode = gateMode, UpMode = upMode }, dy.Length);
    }

    struct ForwardOp : IElementwise
    {
        public float* Gate, Up, Y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV gate = TL.Load(Gate + i);
            TL.Store(TL.Multiply(TL.Multiply(gate, Exponential.Sigmoid<TL, TV>(gate)), TL.Load(Up + i)), Y + i);
        }
    }

    struct BackwardOp : IElementwise
    {
        public float* Gate, Up, Dy, DGate, DUp;
        public Accumulate GateMode, UpMode;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV gate = TL.Load(Gate + i), dy = TL.Load(Dy + i), one = TL.Broadcast(1f);
            TV s = Exponential.Sigmoid<TL, TV>(gate);
            TV slope = TL.Multiply(s, TL.MultiplyAdd(gate, TL.Subtract(one, s), one));
            TV dGate = GateMode == Accumulate.Add ? TL.Load(DGate + i) : default, dUp = UpMode == Accumulate.Add ? TL.Load(DUp + i) : default;
            TL.Store(TL.MultiplyAdd(TL.Multiply(dy, TL.Load(Up + i)), slope, dGate), DGate + i);
            TL.Store(TL.MultiplyAdd(dy, TL.Multiply(gate, s), dUp), DUp + i);
        }
    }
}
