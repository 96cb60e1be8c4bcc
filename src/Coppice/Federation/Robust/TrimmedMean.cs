using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Robust;

/// <summary>Each number on its own: the mean without the largest and the smallest share of the clients, or, with a share of null, the median (Yin et al. 2018). Clients weigh the same.</summary>
public sealed class TrimmedMean(double? share) : IRobustRule
{
    /// <inheritdoc/>
    public string Name => share is null ? "median" : string.Create(CultureInfo.InvariantCulture, $"trimmed:{share}");

    /// <inheritdoc/>
    public ParameterSet Combine(IReadOnlyList<WeightedUpdate> deltas)
    {
        // The median is what is left when all but one, or the middle two, are cut off.
        int cut = share is { } part ? (int)Math.Ceiling(part * deltas.Count - 1e-9) : (deltas.Count - 1) / 2;
        if (2 * cut >= deltas.Count)
            throw new CoppiceException($"{Name}: cuts off {cut} updates at either end of {deltas.Count}, which leaves none; wanted more clients or a smaller share");
        return deltas[0].Values.Map((name, like) =>
        {
            Tensor combined = new(like.Shape);
            float[][] values = [.. deltas.Select(delta => delta.Values.Tensors[name].Data.ToArray())];
            float[] sorted = new float[values.Length];
            for (int i = 0; i < combined.Data.Length; i++)
            {
                for (int client = 0; client < values.Length; client++)
                    sorted[client] = values[client][i];
                Array.Sort(sorted);
                double sum = 0;
                for (int j = cut; j < sorted.Length - cut; j++)
                    sum += sorted[j];
                combined.Data[i] = (float)(sum / (sorted.Length - 2 * cut));
            }
            return combined;
        });
    }
}
