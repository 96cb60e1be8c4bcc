using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Layer normalization of rows (Ba et al. 2016): y = (x - mean) r w + b, r = 1 / sqrt(variance + epsilon).</summary>
internal static unsafe class LayerNorm
{
    const int WorthSharing = 1 << 14;

    /// <summary>Normalizes rows x [rows, n] by w and b [n] into y; keeps each row's mean and r, side by side, in <paramref name="moments"/> [rows, 2] for the backward pass.</summary>
    public static void Forward(WorkerPool pool, ReadOnlySpan<float> x, ReadOnlySpan<float> w, ReadOnlySpan<float> b, float epsilon, Span<float> moments, Span<float> y)
    {
        int rows = moments.Length / 2, n = w.Length;
        Vectors.SameLength(b.Length, n);
        Vectors.SameLength(x.Length, checked(rows * n));
        Vectors.SameLength(y.Length, x.Length);
        fixed (float* px = x, pw = w, pb = b, pm = moments, py = y)
        {
            ForwardJob job = new() { X = px, W = pw, B = pb, Moments = pm, Y = py, Rows = rows, N = n, Epsilon = epsilon, Parts = Parts(pool, x.Length) };
            pool.Run(job.Parts, ref job);
        }
    }

    /// <summary>Adds the gradients: with h = (x - mean) r and g = w dy, dx += r (g - mean(g) - h mean(g h)), dw += dy h, db += dy, both summed over rows in their order.</summary>
    public static void Backward(
        WorkerPool pool, ReadOnlySpan<float> x, ReadOnlySpan<float> w, ReadOnlySpan<float> moments, ReadOnlySpan<float> dy, Span<float> dx, Span<float> dw, Span<float> db)
    {
        int rows = moments.Length / 2, n = w.Length;
        Vectors.SameLength(x.Length, checked(rows * n));
        Vectors.SameLength(dy.Length, x.Length);
        Vectors.SameLength(dx.Length, x.Length);
        Vectors.SameLength(dw.Length, n);
        Vectors.SameLength(db.Length, n);
        fixed (float* px = x, pw = w, pm = moments, pdy = dy, pdx = dx, pdw = dw, pdb = db)
        {
            BackwardJob job = new() { X = px, W = pw, Moments = pm, Dy = pdy, Dx = pdx, Dw = pdw, Db = pdb, Rows = rows, N = n, Parts = Parts(pool, x.Length) };
            pool.Run(job.Parts, ref job);
        }
    }

    static int Parts(WorkerPool pool, int length) => length < WorthSharing ? 1 : pool.Threads;

    struct ForwardJob : IJob
    {
        public float* X, W, B, Moments, Y;
        public int Rows, N, Parts;
        public float Epsilon;

        public readonly void Execute(int part)
        {
            (int start, int count) = Split.Part(Rows, 1, Parts, part);
            for (int row = start; row < start + count; row++)
            {
                float* x = X + (nint)row * N;
                float mean = Reduction.Sum(new Summand { X = x }, N) / N;
                float r = 1 / MathF.Sqrt(Reduction.Sum(new SquareSummand { X = x, Mean = mean }, N) / N + Epsilon);
                (Moments[2 * row], Moments[2 * row + 1]) = (mean, r);
                Elementwise.Run(new NormalizeOp { X = x, W = W, B = B, Mean = mean, R = r, Y = Y + (nint)row * N }, 0, N);
            }
        }
    }

    /// <summary>A part has its rows of dx and its columns of dw and db, so that no sum depends on the number of parts.</summary>
    struct BackwardJob : IJob
    {
        public float* X, W, Moments, Dy, Dx, Dw, Db;
        public int Rows, N, Parts;

        public readonly void Execute(int part)
        {
            (int start, int count) = Split.Part(Rows, 1, Parts, part);
            for (int row = start; row < start + count; row++)
            {
                float* x = X + (nint)row * N, dy = Dy + (nint)row * N;
                float mean = Moments[2 * row], r = Moments[2 * row + 1];
                float plain = Reduction.Sum(new GradientSummand { X = x, W = W, Dy = dy, Mean = mean, R = 0, One = 1 }, N) / N;
                float along = Reduction.Sum(new GradientSummand { X = x, W = W, Dy = dy, Mean = mean, R = r, One = 0 }, N) / N;
                Elementwise.Run(new InputGradientOp { X = x, W = W, Dy = dy, Dx = Dx + (nint)row * N, Mean = mean, R = r, Plain = plain, Along = along }, 0, N);
            }
            (int first, int columns) = Split.Part(N, 64, Parts, part);
            for (int row = 0; row < Rows; row++)
                Elementwise.Run(new ParameterGradientOp { X = X + (nint)row * N, Dy = Dy + (nint)row * N, Dw = Dw, Db = Db, Mean = Moments[2 * row], R = Moments[2 * row + 1] }, first, first + columns);
        }
    }

    struct Summand : ISummand
    {
        public float* X;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct => TL.Add(TL.Load(X + i), sum);
    }

    struct SquareSummand : ISummand
    {
        public float* X;
        public float Mean;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct
        {
            TV centred = TL.Subtract(TL.Load(X + i), TL.Broadcast(Mean));
            return TL.MultiplyAdd(centred, centred, sum);
        }
    }

    // w dy (one + (x - mean) r)
    struct GradientSummand : ISummand
    {
        public float* X, W, Dy;
        public float Mean, R, One;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct
        {
            TV factor = TL.MultiplyAdd(TL.Subtract(TL.Load(X + i), TL.Broadcast(Mean)), TL.Broadcast(R), TL.Broadcast(One));
            return TL.MultiplyAdd(TL.Multiply(TL.Load(W + i), TL.Load(Dy + i)), factor, sum);
        }
    }

    struct NormalizeOp : IElementwise
    {
        public float* X, W, B, Y;
        public float Mean, R;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.MultiplyAdd(TL.Multiply(TL.Subtract(TL.Load(X + i), TL.Broadcast(Mean)), TL.Broadcast(R)), TL.Load(W + i), TL.Load(B + i)), Y + i);
    }

    struct InputGradientOp : IElementwise
    {
        public float* X, W, Dy, Dx;
        public float Mean, R, Plain, Along;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV h = TL.Multiply(TL.Subtract(TL.Load(X + i), TL.Broadcast(Mean)), TL.Broadcast(R));
            TV g = TL.Subtract(TL.Multiply(TL.Load(W + i), TL.Load(Dy + i)), TL.MultiplyAdd(h, TL.Broadcast(Along), TL.Broadcast(Plain)));
            TL.Store(TL.MultiplyAdd(TL.Broadcast(R), g, TL.Load(Dx + i)), Dx + i);
        }
    }

    struct ParameterGradientOp : IElementwise
    {
        public float* X, Dy, Dw, Db;
        public float Mean, R;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV dy = TL.Load(Dy + i), h = TL.Multiply(TL.Subtract(TL.Load(X + i), TL.Broadcast(Mean)), TL.Broadcast(R));
            TL.Store(TL.MultiplyAdd(h, dy, TL.Load(Dw + i)), Dw + i);
            TL.Store(TL.Add(dy, TL.Load(Db + i)), Db + i);
        }
    }
}
