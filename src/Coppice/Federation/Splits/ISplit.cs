using System.Collections.Immutable;

namespace Coppice.Federation.Splits;

/// <summary>What a split gives one client.</summary>
/// <param name="Client">Its name.</param>
/// <param name="Documents">Places of its documents in the corpus, rising.</param>
public sealed record ClientShare(string Client, ImmutableArray<int> Documents);

/// <summary>Deals the documents of one corpus to clients.</summary>
public interface ISplit
{
    /// <summary>The name with all its parameters, as <see cref="SplitRegistry.Find"/> takes it.</summary>
    string Name { get; }

    /// <summary>Whether it looks at labels, and not only at how many documents there are.</summary>
    bool UsesLabels { get; }

    /// <summary>Deals documents of which labels are given. No document goes to two clients, and no client is left with none.</summary>
    /// <exception cref="Tensors.CoppiceException">The documents are too few for the clients.</exception>
    IReadOnlyList<ClientShare> Deal(IReadOnlyList<string> labels, Random random);
}
