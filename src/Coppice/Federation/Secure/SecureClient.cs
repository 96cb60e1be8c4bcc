using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Coppice.Coding;
using Coppice.Formats;

namespace Coppice.Federation.Secure;

/// <summary>
/// A client's side of one attempt (Bonawitz et al. 2017, figure 4): five steps, each taken once and in order. Whatever fails ends the client's part in the attempt. It gives out a share of another client's seed or of its
/// masking key, never both, and only after m clients have signed one and the same set of survivors.
/// </summary>
sealed class SecureClient : IDisposable
{
    enum Step
    {
        Keys,
        Shares,
        Masked,
        Signed,
        Unmasked,
        Over,
    }

    readonly string name, place;
    readonly SecureSetup setup;
    readonly ECDsa signer;
    readonly ISigners trusted;
    readonly SecureJournal journal;
    readonly AgreementKey maskKey = AgreementKey.Create(), sealKey = AgreementKey.Create();
    readonly byte[] seed = RandomNumberGenerator.GetBytes(Masks.KeyBytes);
    readonly SortedDictionary<int, (byte[] Seed, byte[] Key)> held = [];
    Step next = Step.Keys;
    SecureRoster roster = null!;
    int own;
    int[] neighbours = [];
    string[] sharers = [], survivors = [];

    /// <summary>Begins an attempt; the journal has it before a key is made.</summary>
    /// <param name="name">The client.</param>
    /// <param name="setup">What the server asks; not trusted.</param>
    /// <param name="signer">The client's own key.</param>
    /// <param name="trusted">Says who the others are.</param>
    /// <param name="journal">The client's journal.</param>
    /// <exception cref="Tensors.CoppiceException">The attempt cannot be, or not again.</exception>
    public SecureClient(string name, SecureSetup setup, ECDsa signer, ISigners trusted, SecureJournal journal)
    {
        (this.name, this.setup, this.signer, this.trusted, this.journal) = (name, setup, signer, trusted, journal);
        place = $"secure aggregation at client '{name}'";
        setup.Check(place);
        journal.Begin(name, setup);
    }

    /// <summary>The attempt.</summary>
    public SecureSetup Setup => setup;

    /// <summary>With fewer clients it takes no part.</summary>
    public int LeastClients { get; init; } = 3;

    /// <summary>What shows the others that its signatures are its own; empty where they know its key.</summary>
    public byte[] Certificate { get; init; } = [];

    /// <summary>Step 1: this attempt's public keys.</summary>
    public KeyAdvert Advertise()
    {
        Take(Step.Keys);
        KeyAdvert advert = new(KeyAdvert.CurrentFormat, setup.Attempt, name, maskKey.Public, sealKey.Public,
            signer.SignHash(KeyAdvert.Hash(setup.Context(), name, maskKey.Public, sealKey.Public)), Certificate);
        next = Step.Shares;
        return advert;
    }

    /// <summary>Step 2: shares of its seed and of its masking key for its neighbours.</summary>
    public SealedShares Share(RosterMessage message)
    {
        Take(Step.Shares);
        roster = new SecureRoster(setup, message.Clients);
        if (roster.Names.Length < LeastClients)
            throw FormatError.At(place, $"the roster has {roster.Names.Length} clients, wanted {LeastClients} or more");
        own = roster.PlaceOf(name);
        if (!roster.Clients[own].MaskKey.AsSpan().SequenceEqual(maskKey.Public) || !roster.Clients[own].SealKey.AsSpan().SequenceEqual(sealKey.Public))
            throw FormatError.At(place, "the roster has other keys of this client than it sent");
        foreach (KeyAdvert advert in roster.Clients)
            CheckKeys(setup, advert, trusted);
        neighbours = roster.Graph.Neighbours(own);

        int[] points = [.. neighbours.Select(neighbour => neighbour + 1)];
        using RandomNumberGenerator random = RandomNumberGenerator.Create();
        byte[] privateKey = maskKey.ExportPrivate();
        byte[][] seedShares = Shamir.Split(seed, roster.Plan.Threshold, points, random), keyShares = Shamir.Split(privateKey, roster.Plan.Threshold, points, random);
        CryptographicOperations.ZeroMemory(privateKey);
        SealedShare[] shares = [.. neighbours.Select((neighbour, i) => new SealedShare(roster.Names[neighbour], SealedBox.Seal(SealingKey(neighbour, own, neighbour), [.. seedShares[i], .. keyShares[i]], [])))];
        next = Step.Masked;
        return new SealedShares(SealedShares.CurrentFormat, setup.Attempt, name, SealedShares.HashSeed(roster.Hash, name, seed), shares);
    }

    /// <summary>Step 3: y = x + noise, if any, + PRG(b) + sum over neighbours j above i of PRG(s_ij) - sum over those below, modulo 2^r, in r bits a number.</summary>
    /// <param name="message">Who has sent shares, and those for this client.</param>
    /// <param name="values">x, the encoded update; overwritten.</param>
    public byte[] Mask(Deliveries message, uint[] values)
    {
        Take(Step.Masked);
        sharers = CheckSet("those who shared", message.Sharers, roster.Names);
        int[] sharing = [.. neighbours.Where(neighbour => Contains(sharers, neighbour))];
        if (sharing.Length < roster.Plan.Threshold)
            throw FormatError.At(place, $"{sharing.Length} of its {neighbours.Length} neighbours have sent shares, wanted {roster.Plan.Threshold} or more");
        if (!message.Shares.Select(share => share.Client).SequenceEqual(sharing.Select(neighbour => roster.Names[neighbour])))
            throw FormatError.At(place, "the shares that came are not one of each neighbour who has sent some, in order");
        foreach ((SealedShare share, int neighbour) in message.Shares.Zip(sharing))
            held.Add(neighbour, Open(share, neighbour));

        if (roster.Plan.NoiseVariance > 0)
            DistributedNoise.Add(values.AsSpan(0, setup.Numbers), roster.Plan.NoiseVariance);
        Masks.Apply(seed, MaskSign.Plus, values);
        foreach (int neighbour in sharing)
        {
            byte[] key = maskKey.Derive(roster.Names[neighbour], roster.Clients[neighbour].MaskKey, roster.Hash, SecureRoster.MaskInfo(own, neighbour));
            Masks.Apply(key, Masks.Between(own, neighbour), values);
            CryptographicOperations.ZeroMemory(key);
        }
        int bits = roster.Plan.ModulusBits;
        uint modulo = (uint)((1UL << bits) - 1);
        foreach (ref uint value in values.AsSpan())
            value &= modulo;
        byte[] packed = new byte[sizeof(uint) * BitPacking.Words(values.Length, bits)];
        BitPacking.Pack(values, bits, MemoryMarshal.Cast<byte, uint>(packed.AsSpan()));
        next = Step.Signed;
        return packed;
    }

    /// <summary>Step 4: its signature under the set of survivors, which is the only one it signs.</summary>
    public SurvivorSignature Sign(SurvivorList message)
    {
        Take(Step.Signed);
        survivors = CheckSet("survivors", message.Survivors, sharers);
        journal.Sign(setup.Run);
        SurvivorSignature signature = new(SurvivorSignature.CurrentFormat, setup.Attempt, name, signer.SignHash(SurvivorList.Hash(roster.Hash, sharers, survivors)));
        next = Step.Unmasked;
        return signature;
    }

    /// <summary>Step 5: of each neighbour one share, of its seed where it is a survivor and of its masking key where it is not.</summary>
    public UnmaskShares Unmask(SignatureList message)
    {
        Take(Step.Unmasked);
        byte[] hash = SurvivorList.Hash(roster.Hash, sharers, survivors);
        HashSet<string> signers = new(StringComparer.Ordinal);
        foreach (SurvivorSignature signature in message.Signatures)
            if (!survivors.Contains(signature.Client) || !signers.Add(signature.Client) || trusted.Refuses(signature.Client, roster.Clients[roster.PlaceOf(signature.Client)].Certificate, hash, signature.Signature) is not null)
                throw FormatError.At(place, $"the signature of client '{signature.Client}' is not one under the survivors that this client was shown");
        if (signers.Count < roster.Plan.Minimum)
            throw FormatError.At(place, $"{signers.Count} clients have signed the survivors, wanted {roster.Plan.Minimum} or more; nothing is given out");
        OpenShare[] seeds = [.. held.Where(part => Contains(survivors, part.Key)).Select(part => new OpenShare(roster.Names[part.Key], part.Value.Seed))];
        OpenShare[] keys = [.. held.Where(part => !Contains(survivors, part.Key)).Select(part => new OpenShare(roster.Names[part.Key], part.Value.Key))];
        held.Clear();
        return new UnmaskShares(UnmaskShares.CurrentFormat, setup.Attempt, name, seeds, keys);
    }

    /// <summary>Throws unless keys are this attempt's, signed by their client.</summary>
    public static void CheckKeys(SecureSetup setup, KeyAdvert advert, ISigners trusted)
    {
        string? reason = advert.Attempt == setup.Attempt
            ? trusted.Refuses(advert.Client, advert.Certificate, KeyAdvert.Hash(setup.Context(), advert.Client, advert.MaskKey, advert.SealKey), advert.Signature)
            : "are of another attempt";
        if (reason is not null)
            throw FormatError.At($"keys of client '{advert.Client}'", reason);
    }

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(seed);
        maskKey.Dispose();
        sealKey.Dispose();
    }

    // A step is taken once, and what fails within it ends the attempt for this client.
    void Take(Step step)
    {
        if (next != step)
            throw FormatError.At(place, next == Step.Over ? "its part in this attempt is over" : $"is asked for step {step.ToString().ToLowerInvariant()}, its next one is {next.ToString().ToLowerInvariant()}");
        next = Step.Over;
    }

    (byte[] Seed, byte[] Key) Open(SealedShare share, int from)
    {
        byte[] opened;
        try
        {
            opened = SealedBox.Open(SealingKey(from, from, own), share.Bytes, []);
        }
        catch (Tensors.CoppiceException error)
        {
            throw FormatError.At(place, $"the shares of client '{share.Client}': {error.Message}", error);
        }
        return opened.Length == 2 * Shamir.ShareBytes && Shamir.IsShare(opened.AsSpan(0, Shamir.ShareBytes)) && Shamir.IsShare(opened.AsSpan(Shamir.ShareBytes))
            ? (opened[..Shamir.ShareBytes], opened[Shamir.ShareBytes..])
            : throw FormatError.At(place, $"the shares of client '{share.Client}' are not two shares");
    }

    byte[] SealingKey(int peer, int from, int to) => sealKey.Derive(roster.Names[peer], roster.Clients[peer].SealKey, roster.Hash, SecureRoster.SealInfo(from, to));

    // A later step's clients: this one among them, enough, in order, and all of them of the step before.
    string[] CheckSet(string what, string[] names, string[] before)
    {
        SecureRoster.CheckOrder(what, names);
        if (names.FirstOrDefault(client => Array.BinarySearch(before, client, StringComparer.Ordinal) < 0) is { } stranger)
            throw FormatError.At(place, $"{what} have client '{stranger}', who was not there a step before");
        if (names.Length < roster.Plan.Minimum)
            throw FormatError.At(place, $"{what} are {names.Length} clients, wanted {roster.Plan.Minimum} or more");
        return Array.BinarySearch(names, name, StringComparer.Ordinal) >= 0 ? names : throw FormatError.At(place, $"{what} leave this client out");
    }

    bool Contains(string[] names, int client) => Array.BinarySearch(names, roster.Names[client], StringComparer.Ordinal) >= 0;
}
