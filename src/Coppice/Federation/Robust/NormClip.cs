using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Robust;

/// <summary>The mean by samples, of updates that are shortened to a norm: the round's median norm where <paramref name="norm"/> is 0. Bounds what one client can do; a direction that many share stays.</summary>
public sealed class NormClip(double norm) : IRobustRule
{
    /// <inheritdoc/>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"clip:{norm}");

    /// <inheritdoc/>
    public ParameterSet Combine(IReadOnlyList<WeightedUpdate> deltas)
    {
        WeightedUpdate[] ordered = [.. deltas.OrderBy(delta => delta.Client, StringComparer.Ordinal)];
        double[] norms = [.. ordered.Select(delta => delta.Values.Norm())], sorted = [.. norms.Order()];
        double limit = norm > 0 ? norm : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2, samples = ordered.Sum(delta => (double)delta.Samples);
        return ordered[0].Values.Map((name, like) =>
        {
            double[] sum = new double[like.Shape.Length];
            for (int client = 0; client < ordered.Length; client++)
            {
                double scale = ordered[client].Samples / samples * (norms[client] > limit ? limit / norms[client] : 1);
                ReadOnlySpan<float> values = ordered[client].Values.Tensors[name].Data;
                for (int i = 0; i < sum.Length; i++)
                    sum[i] += scale * values[i];
            }
            Tensor combined = new(like.Shape);
            for (int i = 0; i < sum.Length; i++)
                combined.Data[i] = (float)sum[i];
            return combined;
        });
    }
}
