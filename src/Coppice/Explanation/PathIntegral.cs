using MathNet.Numerics.Integration;

namespace Coppice.Explanation;

/// <summary>Gradients [count, width] of a function at <paramref name="count"/> points [count, width].</summary>
internal delegate void PathGradients(ReadOnlySpan<float> points, int count, Span<float> gradients);

/// <summary>The integral of a gradient along the straight line from a baseline to an input (Sundararajan et al. 2017, eq. 1).</summary>
internal static class PathIntegral
{
    /// <summary>attribution_j = (x_j - b_j) * integral over a in [0, 1] of dF/dx_j at b + a (x - b), by Gauss and Legendre's rule.</summary>
    /// <param name="baseline">b [width].</param>
    /// <param name="input">x [width].</param>
    /// <param name="steps">Nodes of the rule: exact for polynomials up to degree 2 * steps - 1.</param>
    /// <param name="pointsPerCall">The most points asked for at once.</param>
    /// <param name="gradients">dF/dx.</param>
    /// <param name="attribution">[width].</param>
    public static void Attribute(ReadOnlySpan<float> baseline, ReadOnlySpan<float> input, int steps, int pointsPerCall, PathGradients gradients, Span<double> attribution)
    {
        GaussLegendreRule rule = new(0, 1, steps);
        int width = input.Length;
        float[] points = new float[Math.Min(steps, pointsPerCall) * width], slopes = new float[points.Length];
        attribution.Clear();
        for (int first = 0; first < steps; first += pointsPerCall)
        {
            int count = Math.Min(pointsPerCall, steps - first);
            for (int p = 0; p < count; p++)
                for (int j = 0; j < width; j++)
                    points[p * width + j] = (float)(baseline[j] + rule.Abscissas[first + p] * (input[j] - baseline[j]));
            gradients(points.AsSpan(0, count * width), count, slopes.AsSpan(0, count * width));
            for (int p = 0; p < count; p++)
                for (int j = 0; j < width; j++)
                    attribution[j] += rule.Weights[first + p] * slopes[p * width + j];
        }
        for (int j = 0; j < width; j++)
            attribution[j] *= (double)input[j] - baseline[j];
    }
}
