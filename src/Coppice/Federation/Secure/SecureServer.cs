using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Coppice.Coding;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Secure;

/// <summary>
/// The server's side of one attempt: it takes what clients send in five steps, closes each, and has the sum at the end or nothing. It knows of no network: what comes from a client is said to be from that client, and is
/// not trusted. The same messages in any order within a step give the same sum.
/// </summary>
sealed class SecureServer
{
    const int StretchLength = 1 << 13;

    readonly SecureSetup setup;
    readonly ISigners? trusted;
    readonly int length;
    readonly SortedDictionary<string, KeyAdvert> adverts = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, (byte[] SeedHash, Dictionary<string, byte[]> For)> shares = new(StringComparer.Ordinal);
    readonly SortedSet<string> masked = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, SurvivorSignature> signatures = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, UnmaskShares> unmasked = new(StringComparer.Ordinal);
    SecureRoster? roster;
    string[] sharers = [], survivors = [];
    uint[] sum = [];

    /// <summary>An attempt.</summary>
    /// <param name="trusted">Says who clients are; null leaves it to clients to check signatures.</param>
    public SecureServer(SecureSetup setup, ISigners? trusted)
    {
        (this.setup, this.trusted) = (setup, trusted);
        setup.Check("secure aggregation");
        length = setup.Encoding.Length;
    }

    /// <summary>Who is in the sum, once step 3 is closed.</summary>
    public IReadOnlyList<string> Survivors => survivors;

    /// <summary>The plan, once step 1 is closed.</summary>
    public SecurePlan Plan => Roster.Plan;

    SecureRoster Roster => roster ?? throw new InvalidOperationException("Secure aggregation: step 1 is not closed.");

    /// <summary>Step 1.</summary>
    /// <exception cref="CoppiceException">It is refused, as with every step; the attempt goes on without the client.</exception>
    public void Accept(string client, KeyAdvert advert)
    {
        string place = Place("keys", client, advert.Client);
        if (roster is not null || adverts.ContainsKey(client))
            throw FormatError.At(place, "came before, or too late");
        AgreementKey.Check(client, advert.MaskKey);
        AgreementKey.Check(client, advert.SealKey);
        if (trusted is not null)
            SecureClient.CheckKeys(setup, advert, trusted);
        adverts.Add(client, advert);
    }

    /// <summary>Closes step 1: the message for all.</summary>
    /// <exception cref="CoppiceException">Too few are left, as with every step; the attempt ends.</exception>
    public RosterMessage CloseKeys()
    {
        roster = new SecureRoster(setup, [.. adverts.Values]);
        return new RosterMessage(RosterMessage.CurrentFormat, setup.Attempt, roster.Clients);
    }

    /// <summary>Step 2.</summary>
    public void Accept(string client, SealedShares message)
    {
        string place = Place("shares", client, message.Client);
        if (sharers.Length > 0 || shares.ContainsKey(client))
            throw FormatError.At(place, "came before, or too late");
        string[] neighbours = NeighboursOf(client);
        if (message.SeedHash.Length != SHA256.HashSizeInBytes || !message.Shares.Select(share => share.Client).SequenceEqual(neighbours))
            throw FormatError.At(place, $"has {message.Shares.Length} shares, wanted one for each of {neighbours.Length} neighbours, in order");
        if (message.Shares.FirstOrDefault(share => share.Bytes.Length != 2 * Shamir.ShareBytes + SealedBox.TagBytes) is { } wrong)
            throw FormatError.At(place, $"the share for '{wrong.Client}' has {wrong.Bytes.Length} bytes, wanted {2 * Shamir.ShareBytes + SealedBox.TagBytes}");
        shares.Add(client, (message.SeedHash, message.Shares.ToDictionary(share => share.Client, share => share.Bytes, StringComparer.Ordinal)));
    }

    /// <summary>Closes step 2.</summary>
    public void CloseShares()
    {
        sharers = Enough("have sent shares", shares.Keys);
        sum = new uint[length];
    }

    /// <summary>The message for a client that has sent shares.</summary>
    public Deliveries DeliveriesFor(string client) => new(Deliveries.CurrentFormat, setup.Attempt, sharers,
        [.. NeighboursOf(client).Where(shares.ContainsKey).Select(neighbour => new SealedShare(neighbour, shares[neighbour].For[client]))]);

    /// <summary>Step 3: the masked numbers are added up as they come, and not kept.</summary>
    public void Accept(string client, MaskedInput message, ReadOnlySpan<byte> packed)
    {
        string place = Place("masked numbers", client, message.Client);
        if (survivors.Length > 0 || masked.Contains(client) || !sharers.Contains(client))
            throw FormatError.At(place, "came before, or too late, or without shares");
        int bits = Plan.ModulusBits, words = BitPacking.Words(length, bits);
        if (packed.Length != words * sizeof(uint))
            throw FormatError.At(place, $"has {packed.Length:N0} bytes, wanted {words * sizeof(uint):N0}: {length:N0} numbers of {bits} bits");
        Add(packed, bits);
        masked.Add(client);
    }

    // A stretch at a time, none of which ends within a word, so that no second vector is made.
    void Add(ReadOnlySpan<byte> packed, int bits)
    {
        uint[] words = new uint[BitPacking.Words(StretchLength, bits)], numbers = new uint[StretchLength];
        for (int start = 0; start < length; start += StretchLength)
        {
            int count = Math.Min(StretchLength, length - start), bytes = BitPacking.Words(count, bits) * sizeof(uint);
            packed[..bytes].CopyTo(MemoryMarshal.AsBytes(words.AsSpan()));
            packed = packed[bytes..];
            BitPacking.Unpack(words, bits, numbers.AsSpan(0, count));
            Span<uint> part = sum.AsSpan(start, count);
            TensorPrimitives.Add(part, numbers.AsSpan(0, count), part);
        }
    }

    /// <summary>Closes step 3: the message for all whose numbers came.</summary>
    public SurvivorList CloseMasked()
    {
        survivors = Enough("have sent masked numbers", masked);
        return new SurvivorList(SurvivorList.CurrentFormat, setup.Attempt, survivors);
    }

    /// <summary>Step 4.</summary>
    public void Accept(string client, SurvivorSignature message)
    {
        string place = Place("signature", client, message.Client);
        if (!survivors.Contains(client) || unmasked.Count > 0 || trusted?.Refuses(client, adverts[client].Certificate, SurvivorList.Hash(Roster.Hash, sharers, survivors), message.Signature) is not null)
            throw FormatError.At(place, "is not one under the survivors, or came too late");
        if (!signatures.TryAdd(client, message))
            throw FormatError.At(place, "came before");
    }

    /// <summary>Closes step 4: the message for all who signed.</summary>
    public SignatureList CloseSignatures()
    {
        Enough("have signed the survivors", signatures.Keys);
        return new SignatureList(SignatureList.CurrentFormat, setup.Attempt, [.. signatures.Values]);
    }

    /// <summary>Step 5.</summary>
    public void Accept(string client, UnmaskShares message)
    {
        string place = Place("shares to unmask", client, message.Client);
        if (!signatures.ContainsKey(client) || unmasked.ContainsKey(client))
            throw FormatError.At(place, "came before, or without a signature");
        string[] sharing = [.. NeighboursOf(client).Where(shares.ContainsKey)];
        if (!message.Seeds.Select(share => share.Client).SequenceEqual(sharing.Where(masked.Contains))
            || !message.Keys.Select(share => share.Client).SequenceEqual(sharing.Where(neighbour => !masked.Contains(neighbour))))
            throw FormatError.At(place, "is not one share of each survivor's seed and of each dropout's key");
        if (message.Seeds.Concat(message.Keys).FirstOrDefault(share => !Shamir.IsShare(share.Bytes)) is { } wrong)
            throw FormatError.At(place, $"holds of client '{wrong.Client}' what is no share");
        unmasked.Add(client, message);
    }

    /// <summary>Closes step 5: the sum of the survivors' encoded updates, and nothing of one.</summary>
    public SecureMean Open() => setup.Encoding.Decode(OpenSum(), survivors.Length, Plan.ModulusBits);

    /// <summary>The same as whole numbers.</summary>
    public uint[] OpenSum()
    {
        Enough("have sent shares to unmask", unmasked.Keys);
        foreach (string client in sharers)
            if (masked.Contains(client))
                TakeOffSeed(client);
            else
                TakeOffPairs(client);
        uint modulo = (uint)((1UL << Plan.ModulusBits) - 1);
        foreach (ref uint value in sum.AsSpan())
            value &= modulo;
        return sum;
    }

    void TakeOffSeed(string client) => Masks.Apply(
        Combine(client, "seed", message => message.Seeds, seed => SealedShares.HashSeed(Roster.Hash, client, seed).AsSpan().SequenceEqual(shares[client].SeedHash) ? seed : null), MaskSign.Minus, sum);

    // A survivor i has in its numbers the mask that it shares with the dropout.
    void TakeOffPairs(string client)
    {
        using AgreementKey key = Combine(client, "masking key", message => message.Keys, secret => KeyOf(client, secret));
        int own = Roster.PlaceOf(client);
        foreach (string survivor in NeighboursOf(client).Where(masked.Contains))
        {
            int other = Roster.PlaceOf(survivor);
            Masks.Apply(key.Derive(survivor, Roster.Clients[other].MaskKey, Roster.Hash, SecureRoster.MaskInfo(own, other)), Masks.Opposite(Masks.Between(other, own)), sum);
        }
    }

    AgreementKey? KeyOf(string client, byte[] secret)
    {
        if (!AgreementKey.IsPrivate(secret))
            return null;
        AgreementKey key = AgreementKey.FromPrivate(secret);
        if (key.Public.AsSpan().SequenceEqual(adverts[client].MaskKey))
            return key;
        key.Dispose();
        return null;
    }

    // The secret of t shares, known by its hash or its public key. Where the first t are not right and there are more, each of them is left out in turn, so that one neighbour who sent something else does no harm.
    T Combine<T>(string client, string what, Func<UnmaskShares, OpenShare[]> part, Func<byte[], T?> known) where T : class
    {
        (int Point, byte[] Share)[] given = [.. NeighboursOf(client).Where(unmasked.ContainsKey).Take(Plan.Threshold + 1)
            .Select(neighbour => (Roster.PlaceOf(neighbour) + 1, part(unmasked[neighbour]).First(share => share.Client == client).Bytes))];
        if (given.Length < Plan.Threshold)
            throw Failure($"{given.Length} shares of client '{client}'s {what} came, wanted {Plan.Threshold}");
        for (int without = given.Length - 1; without >= (given.Length > Plan.Threshold ? 0 : given.Length - 1); without--)
        {
            (int Point, byte[] Share)[] taken = given.Length > Plan.Threshold ? [.. given[..without], .. given[(without + 1)..]] : given;
            if (Shamir.Combine([.. taken.Select(share => share.Point)], [.. taken.Select(share => share.Share)]) is { } secret && known(secret) is { } found)
                return found;
        }
        throw Failure($"the shares of client '{client}' do not give back its {what}: it, or a neighbour of its, sent something else");
    }

    string[] NeighboursOf(string client) => [.. Roster.Graph.Neighbours(Roster.PlaceOf(client)).Select(place => Roster.Names[place])];

    string[] Enough(string what, IReadOnlyCollection<string> clients) => clients.Count >= Plan.Minimum
        ? [.. clients]
        : throw Failure($"{clients.Count} of {Roster.Names.Length} clients {what}, wanted {Plan.Minimum} or more");

    static CoppiceException Failure(string reason) => new($"secure aggregation: {reason}; no update is revealed");

    static string Place(string what, string client, string named) => named == client ? $"{what} of client '{client}'" : throw FormatError.At($"{what} of client '{client}'", $"are of client '{named}'");
}
