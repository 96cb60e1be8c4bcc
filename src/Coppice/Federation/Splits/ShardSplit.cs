using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Splits;

/// <summary>Documents sorted by label and cut into shards of one size, of which each client gets the same number at random (McMahan et al. 2017, section 3): few labels a client.</summary>
/// <param name="each">Shards of a client.</param>
/// <param name="clients">Clients.</param>
sealed class ShardSplit(int each, int clients) : ISplit
{
    public string Name => string.Create(CultureInfo.InvariantCulture, $"shards:{each}:{clients}");

    public bool UsesLabels => true;

    public IReadOnlyList<ClientShare> Deal(IReadOnlyList<string> labels, Random random)
    {
        long count = (long)each * clients;
        if (count > labels.Count)
            throw new CoppiceException($"split '{Name}': {count:N0} shards of {labels.Count:N0} documents; wanted fewer clients or shards");
        double[] shares = new double[count];
        Array.Fill(shares, 1.0 / count);
        ArraySegment<int>[] shards = [.. Dealing.Cut([.. Dealing.Shuffled(labels, random).SelectMany(group => group.Documents)], shares)];
        random.Shuffle(shards);
        return Dealing.Name([.. shards.Chunk(each).Select(own => own.SelectMany(shard => shard))]);
    }
}
