using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Root mean square normalization of rows (Zhang and Sennrich 2019): y = x r w, r = 1 / sqrt(mean(x^2) + epsilon).</summary>
internal static unsafe class RmsNorm
{
    const int WorthSharing = 1 << 14;

    /// <summary>Normalizes rows x [rows, n] by w [n] into y; keeps each row's r in <paramref name="inverse"/> [rows] for the backward pass.</summary>
    public static void Forward(WorkerPool pool, ReadOnlySpan<float> x, ReadOnlySpan<float> w, float epsilon, Span<float> inverse, Span<float> y)
    {
        int rows = inverse.Length, n = w.Length;
        Vectors.SameLength(x.Length, checked(rows * n));
        Vectors.SameLength(y.Length, x.Length);
        fixed (float* px = x, pw = w, pr = inverse, py = y)
        {
            var job = new ForwardJob { X = px, W = pw, R = pr, Y = py, Rows = rows, N = n, Epsilon = epsilon, Parts = Parts(pool, x.Length) };
            pool.Run(job.Parts, ref job);
        }
    }

    /// <summary>Adds the gradients of x and w: dx += r (w dy - x r^2 mean(w dy x)), dw += the sum over rows, in their order, of dy x r.</summary>
    public static void Backward(
        WorkerPool pool, ReadOnlySpan<float> x, ReadOnlySpan<float> w, ReadOnlySpan<float> inverse, ReadOnlySpan<float> dy, Span<float> dx, Span<float> dw)
    {
        int rows = inverse.Length, n = w.Length;
        Vectors.SameLength(x.Length, checked(rows * n));
        Vectors.SameLength(dy.Length, x.Length);
        Vectors.SameLength(dx.Length, x.Length);
        Vectors.SameLength(dw.Length, n);
        fixed (float* px = x, pw = w, pr = inverse, pdy = dy, pdx = dx, pdw = dw)
        {
            var job = new BackwardJob { X = px, W = pw, R = pr, Dy = pdy, Dx = pdx, Dw = pdw, Rows = rows, N = n, Parts = Parts(pool, x.Length) };
            pool.Run(job.Parts, ref job);
        }
    }

    static int Parts(WorkerPool pool, int length) => length < WorthSharing ? 1 : pool.Threads;

    struct ForwardJob : IJob
    {
        public float* X, W, R, Y;
        public int Rows, N, Parts;
        public float Epsilon;

        public readonly void Execute(int part)
        {
            var (start, count) = Split.Part(Rows, 1, Parts, part);
            for (int row = start; row < start + count; row++)
            {
                float* x = X + (nint)row * N;
                float r = 1 / MathF.Sqrt(Reduction.Sum(new SquareSummand { X = x }, N) / N + Epsilon);
                R[row] = r;
                Elementwise.Run(new NormalizeOp { X = x, W = W, R = r, Y = Y + (nint)row * N }, 0, N);
            }
        }
    }

    /// <summary>A part has its rows of dx and its columns of dw, so that no sum depends on the number of parts.</summary>
    struct BackwardJob : IJob
    {
        public float* X, W, R, Dy, Dx, Dw;
        public int Rows, N, Parts;

        public readonly void Execute(int part)
        {
            var (start, count) = Split.Part(Rows, 1, Parts, part);
            for (int row = start; row < start + count; row++)
            {
                float* x = X + (nint)row * N, dy = Dy + (nint)row * N;
                float r = R[row], mean = Reduction.Sum(new WeightedDotSummand { X = x, W = W, Dy = dy }, N) / N;
                Elementwise.Run(new InputGradientOp { X = x, W = W, Dy = dy, Dx = Dx + (nint)row * N, R = r, C = -r * r * r * mean }, 0, N);
            }

            var (first, columns) = Split.Part(N, 64, Parts, part);
            for (int row = 0; row < Rows; row++)
                Elementwise.Run(new WeightGradientOp { X = X + (nint)row * N, Dy = Dy + (nint)row * N, Dw = Dw, R = R[row] }, first, first + columns);
        }
    }

    struct NormalizeOp : IElementwise
    {
        public float* X, W, Y;
        public float R;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.Multiply(TL.Multiply(TL.Load(X + i), TL.Broadcast(R)), TL.Load(W + i)), Y + i);
    }

    struct WeightedDotSummand : ISummand
    {
        public float* X, W, Dy;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct =>
            TL.MultiplyAdd(TL.Multiply(TL.Load(W + i), TL.Load(Dy + i)), TL.Load(X + i), sum);
    }

    struct InputGradientOp : IElementwise
    {
        public float* X, W, Dy, Dx;
        public float R, C;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV dx = TL.MultiplyAdd(TL.Broadcast(C), TL.Load(X + i), TL.Load(Dx + i));
            TL.Store(TL.MultiplyAdd(TL.Multiply(TL.Load(W + i), TL.Load(Dy + i)), TL.Broadcast(R), dx), Dx + i);
        }
    }

    struct WeightGradientOp : IElementwise
    {
        public float* X, Dy, Dw;
        public float R;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.MultiplyAdd(TL.Multiply(TL.Load(X + i), TL.Broadcast(R)), TL.Load(Dy + i), TL.Load(Dw + i)), Dw + i);
    }
}
