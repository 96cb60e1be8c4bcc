using System.Buffers.Binary;
using Coppice.Formats;

namespace Coppice.Federation.Secure;

/// <summary>Who takes part in an attempt, with which keys, and all that follows from it: plan, graph and a hash that everything later depends on. The same at the server and at every client.</summary>
sealed class SecureRoster
{
    readonly Dictionary<string, int> places = new(StringComparer.Ordinal);

    /// <summary>Keys by rising name of their client.</summary>
    /// <exception cref="Tensors.CoppiceException">They are not in that order, or too few.</exception>
    public SecureRoster(SecureSetup setup, KeyAdvert[] clients)
    {
        Clients = clients;
        Names = [.. clients.Select(client => client.Client)];
        CheckOrder("roster", Names);
        Plan = SecurePlan.For(clients.Length, setup.Options, Math.Sqrt(setup.Encoding.SquaredSensitivity));
        using Transcript transcript = new("roster");
        transcript.Add(setup.Context()).Add(clients.Length);
        foreach (KeyAdvert client in clients)
        {
            places.Add(client.Client, places.Count);
            transcript.Add(client.Client).Add(client.MaskKey).Add(client.SealKey);
        }
        Hash = transcript.Hash();
        Graph = new MaskGraph(Hash, clients.Length, Plan.Degree);
    }

    public KeyAdvert[] Clients { get; }

    public string[] Names { get; }

    public byte[] Hash { get; }

    public SecurePlan Plan { get; }

    public MaskGraph Graph { get; }

    /// <summary>A client's place by name, from 0.</summary>
    /// <exception cref="Tensors.CoppiceException">It is not in the roster.</exception>
    public int PlaceOf(string client) => places.TryGetValue(client, out int place) ? place : throw FormatError.At("roster", $"has no client '{client}'");

    /// <summary>What the mask that two clients share is derived for: <c>mask</c> and both places, the lower one first (i32, little-endian).</summary>
    public static byte[] MaskInfo(int one, int other) => Info("mask"u8, Math.Min(one, other), Math.Max(one, other));

    /// <summary>What the key that seals from one client for another is derived for: <c>seal</c>, whose shares, for whom.</summary>
    public static byte[] SealInfo(int from, int to) => Info("seal"u8, from, to);

    /// <summary>Throws unless names rise.</summary>
    public static void CheckOrder(string what, string[] names)
    {
        for (int i = 1; i < names.Length; i++)
            if (string.CompareOrdinal(names[i - 1], names[i]) >= 0)
                throw FormatError.At(what, $"'{names[i]}' comes after '{names[i - 1]}', wanted each client once and in order");
    }

    static byte[] Info(ReadOnlySpan<byte> purpose, int first, int second)
    {
        byte[] info = [.. purpose, .. new byte[2 * sizeof(int)]];
        BinaryPrimitives.WriteInt32LittleEndian(info.AsSpan(purpose.Length), first);
        BinaryPrimitives.WriteInt32LittleEndian(info.AsSpan(purpose.Length + sizeof(int)), second);
        return info;
    }
}
