using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>What stands between the matrices of a feed-forward part: f(gate) up (Shazeer 2020), or f(x) alone.</summary>
internal static unsafe class Gate
{
    /// <summary>y = f(gate) * up, element by element; y may be one of them.</summary>
    public static void Forward<TActivation>(WorkerPool pool, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> y) where TActivation : struct, IActivation
    {
        Vectors.SameLength(gate.Length, y.Length);
        Vectors.SameLength(up.Length, y.Length);
        fixed (float* pg = gate, pu = up, py = y)
            Elementwise.Run(pool, new GatedOp<TActivation> { Gate = pg, Up = pu, Y = py }, y.Length);
    }

    /// <summary>y = f(x), element by element.</summary>
    public static void Forward<TActivation>(WorkerPool pool, ReadOnlySpan<float> x, Span<float> y) where TActivation : struct, IActivation
    {
        Vectors.SameLength(x.Length, y.Length);
        fixed (float* px = x, py = y)
            Elementwise.Run(pool, new PlainOp<TActivation> { X = px, Y = py }, y.Length);
    }

    /// <summary>Writes or adds the gradients, each by its mode: dgate = or += dy up f'(gate), dup = or += dy f(gate).</summary>
    public static void Backward<TActivation>(
        WorkerPool pool, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, ReadOnlySpan<float> dy,
        Span<float> dGate, Accumulate gateMode, Span<float> dUp, Accumulate upMode) where TActivation : struct, IActivation
    {
        Vectors.SameLength(gate.Length, dy.Length);
        Vectors.SameLength(up.Length, dy.Length);
        Vectors.SameLength(dGate.Length, dy.Length);
        Vectors.SameLength(dUp.Length, dy.Length);
        fixed (float* pg = gate, pu = up, pdy = dy, pdg = dGate, pdu = dUp)
            Elementwise.Run(pool, new GatedBackwardOp<TActivation> { Gate = pg, Up = pu, Dy = pdy, DGate = pdg, DUp = pdu, GateMode = gateMode, UpMode = upMode }, dy.Length);
    }

    /// <summary>dx = or += dy f'(x).</summary>
    public static void Backward<TActivation>(WorkerPool pool, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dx, Accumulate mode) where TActivation : struct, IActivation
    {
        Vectors.SameLength(x.Length, dy.Length);
        Vectors.SameLength(dx.Length, dy.Length);
        fixed (float* px = x, pdy = dy, pdx = dx)
            Elementwise.Run(pool, new PlainBackwardOp<TActivation> { X = px, Dy = pdy, Dx = pdx, Mode = mode }, dy.Length);
    }

    struct GatedOp<TActivation> : IElementwise where TActivation : struct, IActivation
    {
        public float* Gate, Up, Y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.Multiply(TActivation.Value<TL, TV>(TL.Load(Gate + i)), TL.Load(Up + i)), Y + i);
    }

    struct PlainOp<TActivation> : IElementwise where TActivation : struct, IActivation
    {
        public float* X, Y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct => TL.Store(TActivation.Value<TL, TV>(TL.Load(X + i)), Y + i);
    }

    struct GatedBackwardOp<TActivation> : IElementwise where TActivation : struct, IActivation
    {
        public float* Gate, Up, Dy, DGate, DUp;
        public Accumulate GateMode, UpMode;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV gate = TL.Load(Gate + i), dy = TL.Load(Dy + i);
            TV dGate = GateMode == Accumulate.Add ? TL.Load(DGate + i) : default, dUp = UpMode == Accumulate.Add ? TL.Load(DUp + i) : default;
            TL.Store(TL.MultiplyAdd(TL.Multiply(dy, TL.Load(Up + i)), TActivation.Slope<TL, TV>(gate), dGate), DGate + i);
            TL.Store(TL.MultiplyAdd(dy, TActivation.Value<TL, TV>(gate), dUp), DUp + i);
        }
    }

    struct PlainBackwardOp<TActivation> : IElementwise where TActivation : struct, IActivation
    {
        public float* X, Dy, Dx;
        public Accumulate Mode;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.MultiplyAdd(TL.Load(Dy + i), TActivation.Slope<TL, TV>(TL.Load(X + i)), Mode == Accumulate.Add ? TL.Load(Dx + i) : default), Dx + i);
    }
}
