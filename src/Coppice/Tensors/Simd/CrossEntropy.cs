using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Softmax cross-entropy over rows of logits: loss = log(sum(e^x)) - x[target].</summary>
internal static unsafe class CrossEntropy
{
    /// <summary>A target that takes no part: no loss, no gradient.</summary>
    public const int Ignored = -1;

    /// <summary>Losses in nats, one for each row; logits [rows, classes] are left as they are.</summary>
    public static void Loss(WorkerPool pool, ReadOnlySpan<float> logits, ReadOnlySpan<int> targets, Span<double> losses)
    {
        Check(logits.Length, targets, losses.Length);
        fixed (float* x = logits)
            Run(pool, x, logits.Length, targets, losses, gradientScale: null);
    }

    /// <summary>Losses in nats; each logit is replaced by gradientScale * (softmax - 1 where it is the target's).</summary>
    public static void LossAndGradient(WorkerPool pool, Span<float> logits, ReadOnlySpan<int> targets, float gradientScale, Span<double> losses)
    {
        Check(logits.Length, targets, losses.Length);
        fixed (float* x = logits)
            Run(pool, x, logits.Length, targets, losses, gradientScale);
    }

    static void Run(WorkerPool pool, float* logits, int length, ReadOnlySpan<int> targets, Span<double> losses, float? gradientScale)
    {
        if (targets.IsEmpty)
            return;
        fixed (int* t = targets)
        fixed (double* l = losses)
        {
            var job = new Job
            {
                X = logits,
                Targets = t,
                Losses = l,
                Rows = targets.Length,
                Classes = length / targets.Length,
                GradientScale = gradientScale,
                Parts = Math.Min(pool.Threads, targets.Length),
            };
            pool.Run(job.Parts, ref job);
        }
    }

    internal static void Check(int logits, ReadOnlySpan<int> targets, int losses)
    {
        Vectors.SameLength(losses, targets.Length, nameof(CrossEntropy));
        if (targets.IsEmpty ? logits > 0 : logits % targets.Length != 0 || logits == 0)
            throw new ArgumentException($"CrossEntropy: {logits} logits for {targets.Length} rows");
        foreach (int target in targets)
            if (target != Ignored && (uint)target >= (uint)(logits / targets.Length))
                throw new ArgumentException($"CrossEntropy: target {target} of {logits / targets.Length} classes");
    }

    struct Job : IJob
    {
        public float* X;
        public int* Targets;
        public double* Losses;
        public int Rows, Classes, Parts;
        public float? GradientScale;

        public readonly void Execute(int part)
        {
            var (start, count) = Split.Part(Rows, 1, Parts, part);
            for (int row = start; row < start + count; row++)
                Losses[row] = Row(X + (nint)row * Classes, Targets[row]);
        }

        readonly double Row(float* x, int target)
        {
            if (target == Ignored)
            {
                if (GradientScale is not null)
                    new Span<float>(x, Classes).Clear();
                return 0;
            }
            float max = System.Numerics.Tensors.TensorPrimitives.Max(new ReadOnlySpan<float>(x, Classes)), wanted = x[target];
            double sum;
            if (GradientScale is not { } scale)
            {
                sum = Reduction.Sum(new ExpSummand { X = x, Max = max }, Classes);
            }
            else
            {
                Elementwise.Run(new ExpOp { X = x, Max = max }, 0, Classes);
                sum = Reduction.Sum(new PlainSummand { X = x }, Classes);
                Elementwise.Run(new ScaleOp { X = x, Scale = (float)(scale / sum) }, 0, Classes);
                x[target] -= scale;
            }
            return Math.Log(sum) + max - wanted;
        }
    }

    struct ExpSummand : ISummand
    {
        public float* X;
        public float Max;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Add(sum, Exponential.Exp<TL, TV>(TL.Subtract(TL.Load(X + i), TL.Broadcast(Max))));
    }

    struct PlainSummand : ISummand
    {
        public float* X;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct => TL.Add(sum, TL.Load(X + i));
    }

    struct ExpOp : IElementwise
    {
        public float* X;
        public float Max;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(Exponential.Exp<TL, TV>(TL.Subtract(TL.Load(X + i), TL.Broadcast(Max))), X + i);
    }

    struct ScaleOp : IElementwise
    {
        public float* X;
        public float Scale;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.Multiply(TL.Load(X + i), TL.Broadcast(Scale)), X + i);
    }
}
