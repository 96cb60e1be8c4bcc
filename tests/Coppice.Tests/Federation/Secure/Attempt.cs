using System.Security.Cryptography;
using Coppice.Federation.Secure;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Secure;

/// <summary>One attempt with clients and a server in memory, step by step, where any client may stay away from any step on, and a test may change any message.</summary>
sealed class Attempt : IDisposable
{
    public const int Numbers = 50;

    readonly ECDsa[] signers;
    readonly Dictionary<string, int> leaves;

    public Attempt(int clients, SecureOptions options, IReadOnlyDictionary<int, int>? leaves = null, int seed = 1)
    {
        Names = [.. Enumerable.Range(0, clients).Select(i => $"client-{i:D3}")];
        this.leaves = Names.ToDictionary(name => name, name => leaves?.GetValueOrDefault(Array.IndexOf(Names, name), 9) ?? 9);
        signers = [.. Names.Select(_ => ECDsa.Create(ECCurve.NamedCurves.nistP256))];
        Trusted = new SigningKeys(Names.Zip(signers, (name, signer) => (name, signer.ExportSubjectPublicKeyInfo())));
        Setup = SecureSetup.New(options, "run", 1, Numbers, seed);
        Server = new SecureServer(Setup, Trusted);
        Clients = [.. Names.Select((name, i) => new SecureClient(name, Setup, signers[i], Trusted, new SecureJournal(null)))];
        Random random = new(seed);
        Values = [.. Names.Select(_ => Enumerable.Range(0, Setup.Encoding.Length).Select(_ => (uint)random.Next(1 << options.Bits)).ToArray())];
    }

    public string[] Names { get; }

    public SigningKeys Trusted { get; }

    public SecureSetup Setup { get; }

    public SecureServer Server { get; }

    public SecureClient[] Clients { get; }

    /// <summary>What each client puts in: any whole numbers of b bits.</summary>
    public uint[][] Values { get; }

    public RosterMessage Roster { get; private set; } = null!;

    public SurvivorList Survivors { get; private set; } = null!;

    public SignatureList Signatures { get; private set; } = null!;

    public Func<int, SealedShares, SealedShares> Shared { get; init; } = (_, message) => message;

    public Func<int, SurvivorSignature, SurvivorSignature> Signed { get; init; } = (_, message) => message;

    public Func<int, UnmaskShares, UnmaskShares> Unmasked { get; init; } = (_, message) => message;

    public ECDsa SignerOf(int client) => signers[client];

    /// <summary>The clients that are still there at a step, from 1 on.</summary>
    public IEnumerable<int> Here(int step) => Enumerable.Range(0, Names.Length).Where(i => leaves[Names[i]] > step);

    public void Keys()
    {
        foreach (int i in Here(1))
            Server.Accept(Names[i], Clients[i].Advertise());
        Roster = Server.CloseKeys();
    }

    public void Shares()
    {
        foreach (int i in Here(2))
            Server.Accept(Names[i], Shared(i, Clients[i].Share(Roster)));
        Server.CloseShares();
    }

    public void Masked()
    {
        foreach (int i in Here(3))
            Server.Accept(Names[i], new MaskedInput(MaskedInput.CurrentFormat, Setup.Attempt, Names[i]), Clients[i].Mask(Server.DeliveriesFor(Names[i]), [.. Values[i]]));
        Survivors = Server.CloseMasked();
    }

    public void Sign()
    {
        foreach (int i in Here(4))
            Server.Accept(Names[i], Signed(i, Clients[i].Sign(Survivors)));
        Signatures = Server.CloseSignatures();
    }

    public uint[] Open()
    {
        foreach (int i in Here(5))
            Server.Accept(Names[i], Unmasked(i, Clients[i].Unmask(Signatures)));
        return Server.OpenSum();
    }

    public uint[] Run()
    {
        Keys();
        Shares();
        Masked();
        Sign();
        return Open();
    }

    /// <summary>The plain sum of whole numbers over the clients whose masked numbers came.</summary>
    public uint[] PlainSum()
    {
        uint[] sum = new uint[Values[0].Length];
        foreach (int i in Here(3))
            for (int at = 0; at < sum.Length; at++)
                sum[at] += Values[i][at];
        return sum;
    }

    public static string Refusal(Action action) => Assert.Throws<CoppiceException>(action).Message;

    public void Dispose()
    {
        foreach (SecureClient client in Clients)
            client.Dispose();
        foreach (ECDsa signer in signers)
            signer.Dispose();
        Trusted.Dispose();
    }
}
