using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>One step of Adam with decoupled weight decay (Loshchilov and Hutter 2019) over whole parameters.</summary>
internal static unsafe class AdamW
{
    /// <summary>
    /// g = gradientScale gradient; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    /// p = p (1 - rate decay) - rate (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon).
    /// </summary>
    /// <param name="pool">Threads that share the elements.</param>
    /// <param name="gradient">Gradient.</param>
    /// <param name="settings">Rates.</param>
    /// <param name="step">Number of this step, from 1.</param>
    /// <param name="gradientScale">What gradients are multiplied by first: clipping, or 1.</param>
    /// <param name="parameters">p.</param>
    /// <param name="first">m, zeros before the first step.</param>
    /// <param name="second">v, zeros before the first step.</param>
    public static void Step(
        WorkerPool pool, ReadOnlySpan<float> gradient, AdamWSettings settings, int step, float gradientScale,
        Span<float> parameters, Span<float> first, Span<float> second)
    {
        Vectors.SameLength(gradient.Length, parameters.Length);
        Vectors.SameLength(first.Length, parameters.Length);
        Vectors.SameLength(second.Length, parameters.Length);
        ArgumentOutOfRangeException.ThrowIfLessThan(step, 1);
        double correction1 = 1 - Math.Pow(settings.Beta1, step), correction2 = 1 - Math.Pow(settings.Beta2, step);
        fixed (float* g = gradient, p = parameters, m = first, v = second)
        {
            Elementwise.Run(pool, new StepOp
            {
                G = g,
                P = p,
                M = m,
                V = v,
                GradientScale = gradientScale,
                Beta1 = settings.Beta1,
                Beta2 = settings.Beta2,
                Keep = (float)(1 - (double)settings.Rate * settings.Decay),
                Rate = (float)(settings.Rate / correction1),
                Root = (float)(1 / Math.Sqrt(correction2)),
                Epsilon = settings.Epsilon,
            }, parameters.Length);
        }
    }

    struct StepOp : IElementwise
    {
        public float* G, P, M, V;
        public float GradientScale, Beta1, Beta2, Keep, Rate, Root, Epsilon;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV g = TL.Multiply(TL.Load(G + i), TL.Broadcast(GradientScale));
            TV m = TL.MultiplyAdd(TL.Broadcast(Beta1), TL.Load(M + i), TL.Multiply(TL.Broadcast(1 - Beta1), g));
            TV v = TL.MultiplyAdd(TL.Broadcast(Beta2), TL.Load(V + i), TL.Multiply(TL.Multiply(TL.Broadcast(1 - Beta2), g), g));
            TV size = TL.MultiplyAdd(TL.SquareRoot(v), TL.Broadcast(Root), TL.Broadcast(Epsilon));
            TV p = TL.Multiply(TL.Load(P + i), TL.Broadcast(Keep));
            TL.Store(m, M + i);
            TL.Store(v, V + i);
            TL.Store(TL.MultiplyAdd(TL.Broadcast(-Rate), TL.Divide(m, size), p), P + i);
        }
    }
}

/// <summary>The rates of <see cref="AdamW"/>.</summary>
/// <param name="Rate">Learning rate of this step.</param>
/// <param name="Beta1">Decay of the mean gradient.</param>
/// <param name="Beta2">Decay of the mean squared gradient.</param>
/// <param name="Epsilon">Added to the root.</param>
/// <param name="Decay">Weight decay, times the learning rate.</param>
internal readonly record struct AdamWSettings(float Rate, float Beta1 = 0.9f, float Beta2 = 0.999f, float Epsilon = 1e-8f, float Decay = 0.01f);
