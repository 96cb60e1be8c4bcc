namespace Coppice.Federation.Widths;

/// <summary>Ranks of clients' adapters, by capacity: <c>4,16</c> gives half of the clients 4, <c>4:0.2,8:0.8</c> a fifth, <c>anna=4,16</c> one by name.</summary>
public sealed class ClientRanks
{
    readonly DealtNumbers numbers;

    ClientRanks(DealtNumbers numbers) => this.numbers = numbers;

    /// <summary>The text.</summary>
    public string Name => numbers.Name;

    /// <summary>Ranks by a text.</summary>
    /// <exception cref="Tensors.CoppiceException">It is no such text.</exception>
    public static ClientRanks Find(string text) => new(new DealtNumbers("ranks", text, 1, 4096, isWhole: true));

    /// <summary>The rank of each client; the seed draws who gets which.</summary>
    /// <exception cref="Tensors.CoppiceException">A client that is named is not there.</exception>
    public IReadOnlyDictionary<string, int> Deal(IEnumerable<string> clients, int seed) => numbers.Deal(clients, "ranks", seed).ToDictionary(part => part.Key, part => (int)part.Value, StringComparer.Ordinal);
}
