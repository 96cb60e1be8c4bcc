using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Robust;

/// <summary>How many updates Krum takes.</summary>
public enum KrumKind
{
    /// <summary>The most central one alone.</summary>
    One,

    /// <summary>The mean of all but as many as may be anything (Multi-Krum).</summary>
    Many,
}

/// <summary>Whole updates, chosen by how near their nearest n - f - 2 others are, f being the share of n that may be anything (Blanchard et al. 2017). Needs n of 2 f + 3 or more. Clients weigh the same.</summary>
public sealed class Krum(double share, KrumKind kind) : IRobustRule
{
    /// <inheritdoc/>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"{(kind == KrumKind.One ? "krum" : "multikrum")}:{share}");

    /// <inheritdoc/>
    public ParameterSet Combine(IReadOnlyList<WeightedUpdate> deltas)
    {
        WeightedUpdate[] ordered = [.. deltas.OrderBy(delta => delta.Client, StringComparer.Ordinal)];
        int count = ordered.Length, wrong = (int)Math.Ceiling(share * count - 1e-9);
        if (count < 2 * wrong + 3)
            throw new CoppiceException($"{Name}: {count} updates of which {wrong} may be anything, wanted {2 * wrong + 3} or more");
        double[,] squared = Distances.Squared(ordered);
        int[] all = [.. Enumerable.Range(0, count)];
        int[] chosen = [.. all.OrderBy(a => Distances.Score(squared, all, count - wrong - 2, a)).Take(kind == KrumKind.One ? 1 : count - wrong)];
        return new TrimmedMean(0).Combine([.. chosen.Select(i => ordered[i])]);
    }
}
