using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Plain operations on whole spans: what optimizers, residual connections and gradient clipping need.</summary>
internal static unsafe class Vectors
{
    const int Block = 1 << 14;

    /// <summary>y += alpha * x, one fused multiply-add each.</summary>
    public static void AddScaled(WorkerPool pool, ReadOnlySpan<float> x, float alpha, Span<float> y)
    {
        SameLength(x.Length, y.Length);
        fixed (float* px = x, py = y)
            Elementwise.Run(pool, new AddScaledOp { X = px, Y = py, Alpha = alpha }, y.Length);
    }

    /// <summary>sum = a + b; the destination may be one of them.</summary>
    public static void Add(WorkerPool pool, ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> sum)
    {
        SameLength(a.Length, sum.Length);
        SameLength(b.Length, sum.Length);
        fixed (float* pa = a, pb = b, ps = sum)
            Elementwise.Run(pool, new AddOp { A = pa, B = pb, Sum = ps }, sum.Length);
    }

    /// <summary>y = x.</summary>
    public static void Copy(WorkerPool pool, ReadOnlySpan<float> x, Span<float> y)
    {
        SameLength(x.Length, y.Length);
        fixed (float* px = x, py = y)
            Elementwise.Run(pool, new CopyOp { X = px, Y = py }, y.Length);
    }

    /// <summary>x *= alpha.</summary>
    public static void Scale(WorkerPool pool, float alpha, Span<float> x)
    {
        fixed (float* px = x)
            Elementwise.Run(pool, new ScaleOp { X = px, Alpha = alpha }, x.Length);
    }

    /// <summary>The sum of squares, in float within blocks of 16,384 numbers and in double over blocks.</summary>
    public static double SumOfSquares(ReadOnlySpan<float> x)
    {
        double sum = 0;
        for (; !x.IsEmpty; x = x[Math.Min(Block, x.Length)..])
            fixed (float* px = x)
                sum += Reduction.Sum(new SquareSummand { X = px }, Math.Min(Block, x.Length));
        return sum;
    }

    /// <summary>y = e^x, as <see cref="Exponential.Exp"/>.</summary>
    public static void Exp(ReadOnlySpan<float> x, Span<float> y)
    {
        SameLength(x.Length, y.Length);
        fixed (float* px = x, py = y)
            Elementwise.Run(new ExpOp { X = px, Y = py }, 0, y.Length);
    }

    /// <summary>Throws unless two spans that go together are equally long.</summary>
    public static void SameLength(int found, int wanted, [CallerMemberName] string operation = "")
    {
        if (found != wanted)
            throw new ArgumentException($"{operation}: {found} numbers beside {wanted}, lengths differ");
    }

    struct AddScaledOp : IElementwise
    {
        public float* X, Y;
        public float Alpha;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.MultiplyAdd(TL.Broadcast(Alpha), TL.Load(X + i), TL.Load(Y + i)), Y + i);
    }

    struct AddOp : IElementwise
    {
        public float* A, B, Sum;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.Add(TL.Load(A + i), TL.Load(B + i)), Sum + i);
    }

    struct CopyOp : IElementwise
    {
        public float* X, Y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct => TL.Store(TL.Load(X + i), Y + i);
    }

    struct ScaleOp : IElementwise
    {
        public float* X;
        public float Alpha;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.Multiply(TL.Load(X + i), TL.Broadcast(Alpha)), X + i);
    }

    struct ExpOp : IElementwise
    {
        public float* X, Y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(Exponential.Exp<TL, TV>(TL.Load(X + i)), Y + i);
    }
}

/// <summary>x^2.</summary>
internal unsafe struct SquareSummand : ISummand
{
    public float* X;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct
    {
        TV x = TL.Load(X + i);
        return TL.MultiplyAdd(x, x, sum);
    }
}
