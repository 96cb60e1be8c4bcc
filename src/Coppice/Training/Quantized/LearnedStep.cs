using System.Numerics.Tensors;

namespace Coppice.Training.Quantized;

/// <summary>A group of weights on the grid step * (code - zero) in training, its step learned (Esser et al. 2020, LSQ): codes on the way forward, and on the way back as if nothing had been rounded.</summary>
public static class LearnedStep
{
    /// <summary>The least step: the smallest half that keeps all of its digits.</summary>
    public const float Least = 1f / (1 << 14);

    /// <summary>The codes above the middle one, Qp.</summary>
    public static int Positive(int bits) => (1 << bits - 1) - 1;

    /// <summary>The step that a group of weights starts with: 2 mean|w| / sqrt(Qp), over those that are not 0.</summary>
    public static float Start(ReadOnlySpan<float> weights, int bits)
    {
        int kept = weights.Length - weights.Count(0f);
        return kept == 0 ? 0 : 2 * TensorPrimitives.SumOfMagnitudes(weights) / kept / MathF.Sqrt(Positive(bits));
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
