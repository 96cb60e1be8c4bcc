using System.Numerics.Tensors;

namespace Coppice.Training.Quantized;

/// <summary>A group of weights on the grid step * (code - zero) in training, its step learned (Esser et al. 2020, LSQ): codes on the way forward, and on the way back as if nothing had been rounded.</summary>
public static class LearnedStep
{
    /// <summary>The least step: the smallest half that keeps all of its digits.</summary>
    public const float Least = 1f / (1 << 14);

    /// <summary>The codes above the middle one, Qp.</summary>
    public static int Positive(int bits) => (1 << bits - 1) - 1;

    /// <summary>Twice the mean size of weights that are not 0, over sqrt(Qp): what LSQ starts with.</summary>
    public static float OfMeanSize(ReadOnlySpan<float> weights, int bits)
    {
        int kept = weights.Length - weights.Count(0f);
        return kept == 0 ? 0 : 2 * TensorPrimitives.SumOfMagnitudes(weights) / kept / MathF.Sqrt(Positive(bits));
    }

    /// <summary>The step and zero point of a grid that reaches the least and the largest weight.</summary>
    public static (float Step, byte Zero) OfRange(ReadOnlySpan<float> weights, int bits, bool symmetric)
    {
        float low = Math.Min(0, TensorPrimitives.Min(weights)), high = Math.Max(0, TensorPrimitives.Max(weights));
        int top = (1 << bits) - 1;
        float step = Math.Max((symmetric ? 2 * Math.Max(-low, high) : high - low) / top, Least);
        return (step, (byte)(symmetric ? 1 << bits - 1 : Math.Clamp(MathF.Round(-low / step), 0, top)));
    }

    /// <summary>Of steps from 1.1 to 0.3 times that of <see cref="OfRange"/> the one whose rounding has the least squared error.</summary>
    public static (float Step, byte Zero) OfLeastError(ReadOnlySpan<float> weights, int bits, bool symmetric)
    {
        (float whole, byte zero) = OfRange(weights, bits, symmetric);
        float[] rounded = new float[weights.Length];
        float best = whole, least = float.PositiveInfinity;
        for (int share = 110; share >= 30; share -= 2)
        {
            Round(weights, whole * share / 100, zero, bits, rounded);
            float distance = TensorPrimitives.Distance(weights, rounded);
            if (distance < least)
                (best, least) = (whole * share / 100, distance);
        }
        return (best, zero);
    }

    /// <summary>What the gradient of a step is multiplied with: 1 / sqrt(N Qp) for N weights.</summary>
    public static float GradientScale(int weights, int bits) => 1 / MathF.Sqrt((float)weights * Positive(bits));

    /// <summary>The nearest code, ties to even.</summary>
    public static byte Code(float weight, float step, int zero, int bits) => (byte)Math.Clamp(MathF.Round(weight / step) + zero, 0, (1 << bits) - 1);

    /// <summary>rounded = step * (code - zero).</summary>
    public static void Round(ReadOnlySpan<float> weights, float step, int zero, int bits, Span<float> rounded)
    {
        float low = -zero, high = (1 << bits) - 1 - zero;
        for (int i = 0; i < weights.Length; i++)
            rounded[i] = step * Math.Clamp(MathF.Round(weights[i] / step), low, high);
    }

    /// <summary>Turns d(loss)/d(rounded) into d(loss)/d(weight): itself within the grid, 0 where the weight was clipped.</summary>
    /// <returns>d(loss)/d(step): the sum of d(loss)/d(rounded) times round(w / step) - w / step within the grid (eq. 3), its end code where the weight was clipped.</returns>
    public static float Back(ReadOnlySpan<float> weights, float step, int zero, int bits, Span<float> gradient)
    {
        float low = -zero, high = (1 << bits) - 1 - zero, sum = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            float place = weights[i] / step;
            if (place <= low || place >= high)
            {
                sum += gradient[i] * (place <= low ? low : high);
                gradient[i] = 0;
            }
            else
                sum += gradient[i] * (MathF.Round(place) - place);
        }
        return sum;
    }
}
