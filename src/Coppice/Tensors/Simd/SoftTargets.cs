using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>How soft targets are weighed against hard ones.</summary>
/// <param name="Temperature">What both sides' logits are divided by.</param>
/// <param name="Share">The soft loss's share, 0 to 1; the rest is the hard loss's.</param>
internal readonly record struct SoftTargetsSettings(float Temperature, float Share);

/// <summary>Cross-entropy with another model's outputs beside the targets (Hinton et al. 2015): (1 - share) nats of the target + share T^2 KL(softmax(soft / T) || softmax(x / T)), row by row.</summary>
internal static unsafe class SoftTargets
{
    /// <summary>Losses of the rows of logits [rows, classes]; each logit is replaced by gradientScale times the loss's derivative. A row whose target is <see cref="CrossEntropy.Ignored"/> takes no part.</summary>
    public static void LossAndGradient(
        WorkerPool pool, Span<float> logits, ReadOnlySpan<float> soft, ReadOnlySpan<int> targets, SoftTargetsSettings settings, float gradientScale, Span<double> losses)
    {
        Vectors.SameLength(soft.Length, logits.Length);
        CrossEntropy.Check(logits.Length, targets, losses.Length);
        if (targets.IsEmpty)
            return;
        fixed (float* x = logits, z = soft)
        fixed (int* t = targets)
        fixed (double* l = losses)
        {
            var job = new Job
            {
                X = x,
                Z = z,
                Targets = t,
                Losses = l,
                Rows = targets.Length,
                Classes = logits.Length / targets.Length,
                Settings = settings,
                GradientScale = gradientScale,
                Parts = Math.Min(pool.Threads, targets.Length),
            };
            pool.Run(job.Parts, ref job);
        }
    }

    struct Job : IJob
    {
        public float* X, Z;
        public int* Targets;
        public double* Losses;
        public int Rows, Classes, Parts;
        public SoftTargetsSettings Settings;
        public float GradientScale;

        public readonly void Execute(int part)
        {
            var (start, count) = Split.Part(Rows, 1, Parts, part);
            for (int row = start; row < start + count; row++)
                Losses[row] = Row(X + (nint)row * Classes, Z + (nint)row * Classes, Targets[row]);
        }

        readonly double Row(float* x, float* z, int target)
        {
            if (target == CrossEntropy.Ignored)
            {
                new Span<float>(x, Classes).Clear();
                return 0;
            }
            (float temperature, float share) = Settings;
            float inverse = 1 / temperature, wanted = x[target];
            float highest = TensorPrimitives.Max(new ReadOnlySpan<float>(x, Classes)), softHighest = TensorPrimitives.Max(new ReadOnlySpan<float>(z, Classes));
            float hardSum = Reduction.Sum(new ExpSummand { X = x, Max = highest, Inverse = 1 }, Classes);
            float sum = Reduction.Sum(new ExpSummand { X = x, Max = highest, Inverse = inverse }, Classes);
            float softSum = Reduction.Sum(new ExpSummand { X = z, Max = softHighest, Inverse = inverse }, Classes);
            float distance = Reduction.Sum(new DistanceSummand { X = x, Z = z, Max = highest, SoftMax = softHighest, Inverse = inverse }, Classes);
            double hard = Math.Log(hardSum) + highest - wanted;
            double divergence = (double)distance / temperature / softSum + Math.Log(sum) - Math.Log(softSum);

            float hardScale = GradientScale * (1 - share), softScale = GradientScale * share * temperature;
            Elementwise.Run(new GradientOp
            {
                X = x,
                Z = z,
                Max = highest,
                SoftMax = softHighest,
                Inverse = inverse,
                Hard = hardScale / hardSum,
                Own = softScale / sum,
                Soft = -softScale / softSum,
            }, 0, Classes);
            x[target] -= hardScale;
            return (1 - share) * hard + share * temperature * temperature * divergence;
        }
    }

    /// <summary>e^((x - max) / T).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TV Exp<TL, TV>(TV x, float max, float inverse) where TL : struct, ILanes<TV> where TV : struct =>
        Exponential.Exp<TL, TV>(TL.Multiply(TL.Subtract(x, TL.Broadcast(max)), TL.Broadcast(inverse)));

    struct ExpSummand : ISummand
    {
        public float* X;
        public float Max, Inverse;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct => TL.Add(sum, Exp<TL, TV>(TL.Load(X + i), Max, Inverse));
    }

    // e^((z - max z) / T) ((z - max z) - (x - max x)): what is left of T times the divergence are both sums' logarithms.
    struct DistanceSummand : ISummand
    {
        public float* X, Z;
        public float Max, SoftMax, Inverse;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct
        {
            TV z = TL.Load(Z + i);
            TV apart = TL.Subtract(TL.Subtract(z, TL.Broadcast(SoftMax)), TL.Subtract(TL.Load(X + i), TL.Broadcast(Max)));
            return TL.MultiplyAdd(Exp<TL, TV>(z, SoftMax, Inverse), apart, sum);
        }
    }

    struct GradientOp : IElementwise
    {
        public float* X, Z;
        public float Max, SoftMax, Inverse, Hard, Own, Soft;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV x = TL.Load(X + i);
            TV gradient = TL.Multiply(Exp<TL, TV>(x, Max, 1), TL.Broadcast(Hard));
            gradient = TL.MultiplyAdd(Exp<TL, TV>(x, Max, Inverse), TL.Broadcast(Own), gradient);
            TL.Store(TL.MultiplyAdd(Exp<TL, TV>(TL.Load(Z + i), SoftMax, Inverse), TL.Broadcast(Soft), gradient), X + i);
        }
    }
}
