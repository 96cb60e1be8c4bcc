using System.Collections.Immutable;
using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>What a <see cref="MixtureOfExperts"/> is made of, and which layers have one.</summary>
public sealed record ExpertOptions
{
    const int Most = 4096;

    /// <summary>Experts to choose from.</summary>
    public required int Count { get; init; }

    /// <summary>Experts that a token takes.</summary>
    public required int Chosen { get; init; }

    /// <summary>Width inside an expert.</summary>
    public required int Width { get; init; }

    /// <summary>Width inside the expert that all tokens take; none where null.</summary>
    public int? SharedWidth { get; init; }

    /// <summary>What a token's shares are of.</summary>
    public ExpertShares Shares { get; init; }

    /// <summary>Every so many layers one has experts, the last of each.</summary>
    public int Step { get; init; } = 1;

    /// <summary>Layers that have a plain feed-forward part all the same.</summary>
    public ImmutableArray<int> Plain { get; init; } = [];

    /// <summary>Whether a layer has experts.</summary>
    public bool Has(int layer) => (layer + 1) % Step == 0 && !Plain.Contains(layer);

    /// <summary>Throws with the first size that cannot be; <paramref name="source"/> names the file.</summary>
    internal void Validate(string source)
    {
        if (Count is < 1 or > Most || Chosen < 1 || Chosen > Count || Width < 1 || SharedWidth < 1 || Step < 1)
            throw new CoppiceException($"{source}: {Chosen} of {Count} experts of width {Width}, a shared one of {SharedWidth?.ToString() ?? "none"}, every {Step} layers cannot be; wanted at most {Most} experts and positive sizes");
    }

    /// <inheritdoc/>
    public bool Equals(ExpertOptions? other) =>
        other is not null && (Count, Chosen, Width, SharedWidth, Shares, Step) == (other.Count, other.Chosen, other.Width, other.SharedWidth, other.Shares, other.Step) && Plain.SequenceEqual(other.Plain);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Count, Chosen, Width, SharedWidth, Shares, Step, Plain.Length);
}
