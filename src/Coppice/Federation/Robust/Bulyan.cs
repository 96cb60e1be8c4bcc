using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Robust;

/// <summary>
/// Krum and then the trimmed mean (Bulyan, El Mhamdi et al. 2018): n - 2 f updates are chosen one after another by Krum among those left, and each number is the mean of the n - 4 f of theirs that are nearest to
/// their median. f is the share of n that may be anything; needs n of 4 f + 3 or more.
/// </summary>
public sealed class Bulyan(double share) : IRobustRule
{
    /// <inheritdoc/>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"bulyan:{share}");

    /// <inheritdoc/>
    public ParameterSet Combine(IReadOnlyList<WeightedUpdate> deltas)
    {
        WeightedUpdate[] ordered = [.. deltas.OrderBy(delta => delta.Client, StringComparer.Ordinal)];
        int count = ordered.Length, wrong = (int)Math.Ceiling(share * count - 1e-9);
        if (count < 4 * wrong + 3)
            throw new CoppiceException($"{Name}: {count} updates of which {wrong} may be anything, wanted {4 * wrong + 3} or more");
        double[,] squared = Distances.Squared(ordered);
        List<int> left = [.. Enumerable.Range(0, count)], chosen = [];
        while (chosen.Count < count - 2 * wrong)
        {
            chosen.Add(Distances.Central(squared, left, Math.Max(1, left.Count - wrong - 2)));
            left.Remove(chosen[^1]);
        }
        return ordered[0].Values.Map((name, like) => NearMedian([.. chosen.Select(i => ordered[i].Values.Tensors[name].Data.ToArray())], like.Shape, count - 4 * wrong));
    }

    static Tensor NearMedian(float[][] values, Shape shape, int kept)
    {
        Tensor combined = new(shape);
        float[] sorted = new float[values.Length];
        for (int i = 0; i < combined.Data.Length; i++)
        {
            for (int client = 0; client < values.Length; client++)
                sorted[client] = values[client][i];
            Array.Sort(sorted);
            double median = ((double)sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
            // The nearest to a place in a sorted row lie side by side.
            int first = 0, last = sorted.Length - 1;
            while (last - first + 1 > kept)
                if (median - sorted[first] > sorted[last] - median)
                    first++;
                else
                    last--;
            double sum = 0;
            for (int j = first; j <= last; j++)
                sum += sorted[j];
            combined.Data[i] = (float)(sum / kept);
        }
        return combined;
    }
}
