using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Between float32 and bfloat16, its upper half: rounded to nearest, ties to even, so that a number is off by at most 2^-9 of itself.</summary>
internal static unsafe class BFloat16
{
    /// <summary>x, rounded.</summary>
    public static void Narrow(WorkerPool pool, ReadOnlySpan<float> x, Span<ushort> narrow)
    {
        Vectors.SameLength(x.Length, narrow.Length);
        fixed (float* px = x)
        fixed (ushort* pn = narrow)
            Elementwise.Run(pool, new NarrowOp { X = px, Narrow = pn }, x.Length);
    }

    /// <summary>The numbers again, exactly as they were rounded.</summary>
    public static void Widen(WorkerPool pool, ReadOnlySpan<ushort> narrow, Span<float> x)
    {
        Vectors.SameLength(narrow.Length, x.Length);
        fixed (float* px = x)
        fixed (ushort* pn = narrow)
            Elementwise.Run(pool, new WidenOp { X = px, Narrow = pn }, x.Length);
    }

    struct NarrowOp : IElementwise
    {
        public float* X;
        public ushort* Narrow;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct => TL.StoreBFloat16(TL.Load(X + i), Narrow + i);
    }

    struct WidenOp : IElementwise
    {
        public float* X;
        public ushort* Narrow;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct => TL.Store(TL.LoadBFloat16(Narrow + i), X + i);
    }
}
