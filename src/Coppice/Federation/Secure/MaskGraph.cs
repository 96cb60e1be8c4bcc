using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Coppice.Federation.Secure;

/// <summary>
/// Who shares masks with whom: a ring in random order where each client has its k/2 nearest on both sides for neighbours (Bell et al. 2020), or everybody. The order is that of SHA-256(roster hash, u32 index): it is
/// not known before the last client has sent its keys.
/// </summary>
sealed class MaskGraph
{
    readonly int[] order, places;
    readonly int degree;

    public MaskGraph(byte[] rosterHash, int clients, int degree)
    {
        this.degree = degree;
        order = [.. Enumerable.Range(0, clients)];
        string[] keys = [.. order.Select(index => Key(rosterHash, index))];
        Array.Sort(keys, order, StringComparer.Ordinal);
        places = new int[clients];
        for (int place = 0; place < clients; place++)
            places[order[place]] = place;
    }

    /// <summary>The neighbours of a client, by rising index.</summary>
    public int[] Neighbours(int client)
    {
        int[] neighbours = degree == order.Length - 1
            ? [.. Enumerable.Range(0, order.Length).Where(other => other != client)]
            : [.. Enumerable.Range(1, degree / 2).SelectMany(distance => new[] { At(places[client] + distance), At(places[client] - distance) })];
        Array.Sort(neighbours);
        return neighbours;
    }

    int At(int place) => order[(place + order.Length) % order.Length];

    static string Key(byte[] rosterHash, int index)
    {
        byte[] bytes = [.. rosterHash, 0, 0, 0, 0];
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(rosterHash.Length), index);
        return Convert.ToHexString(SHA256.HashData(bytes));
    }
}
