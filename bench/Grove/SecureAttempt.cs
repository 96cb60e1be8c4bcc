using System.Security.Cryptography;
using Coppice.Federation;
using Coppice.Federation.Secure;

namespace Coppice.Bench;

/// <summary>Secure aggregation alone, without training and network: any whole numbers, all clients and the server one after the other.</summary>
/// <param name="Degree">Neighbours of a client.</param>
/// <param name="ModulusBits">Bits of a number on the wire.</param>
/// <param name="BytesUp">Of a client that stays, all its steps.</param>
/// <param name="BytesDown">The same to a client, without the task.</param>
/// <param name="ClientMilliseconds">Of processors, of a client that stays, all its steps; the mean.</param>
/// <param name="ServerMilliseconds">The same of the server.</param>
/// <param name="IsExact">Whether the sum is the plain one, number by number.</param>
public sealed record SecureAttempt(int Degree, int ModulusBits, long BytesUp, long BytesDown, double ClientMilliseconds, double ServerMilliseconds, bool IsExact)
{
    /// <summary>Bytes of mask that are made and added to a vector of 4 bytes a number, a second of a processor: the median of some goes.</summary>
    public static double MaskBytesPerSecond(int numbers)
    {
        const int goes = 9;
        uint[] vector = new uint[numbers];
        double[] seconds = new double[goes];
        for (int go = 0; go < goes; go++)
        {
            TimeSpan start = Environment.CpuUsage.TotalTime;
            Masks.Apply(RandomNumberGenerator.GetBytes(Masks.KeyBytes), MaskSign.Plus, vector);
            seconds[go] = (Environment.CpuUsage.TotalTime - start).TotalSeconds;
        }
        Array.Sort(seconds);
        return 4.0 * numbers / seconds[goes / 2];
    }

    /// <summary>One attempt; of <paramref name="dropouts"/> clients a third each leaves before shares, before masked numbers and before the last step.</summary>
    public static SecureAttempt Run(int clients, int numbers, int dropouts, int seed)
    {
        Random random = new(seed);
        SecureOptions options = new();
        string[] names = [.. Enumerable.Range(0, clients).Select(i => $"client-{i:D4}")];
        ECDsa[] signers = [.. names.Select(_ => ECDsa.Create(ECCurve.NamedCurves.nistP256))];
        using SigningKeys trusted = new(names.Zip(signers, (name, signer) => (name, signer.ExportSubjectPublicKeyInfo())));
        SecureSetup setup = SecureSetup.New(options, "bench", 1, numbers, seed);
        Dictionary<string, int> leaves = names.ToDictionary(name => name, _ => 6);
        string[] gone = [.. names];
        random.Shuffle(gone);
        for (int i = 0; i < dropouts; i++)
            leaves[gone[i]] = i % 3 == 0 ? 2 : i % 3 == 1 ? 3 : 5;

        Clock client = new(), server = new();
        long up = 0, down = 0;
        SecureServer at = Timed(server, () => new SecureServer(setup, trusted));
        Dictionary<string, SecureClient> by = names.Zip(signers).ToDictionary(pair => pair.First, pair => new SecureClient(pair.First, setup, pair.Second, trusted, new SecureJournal(null)));
        uint[] plain = new uint[setup.Encoding.Length];

        foreach (string name in names)
        {
            KeyAdvert keys = Timed(client, by[name].Advertise);
            up += SecureWire.Write(keys, FederationJson.Default.KeyAdvert).Length;
            Timed(server, () => at.Accept(name, keys));
        }
        RosterMessage roster = Timed(server, at.CloseKeys);
        down += clients * SecureWire.Write(roster, FederationJson.Default.RosterMessage).Length;
        foreach (string name in Here(2))
        {
            SealedShares shares = Timed(client, () => by[name].Share(roster));
            up += SecureWire.Write(shares, FederationJson.Default.SealedShares).Length;
            Timed(server, () => at.Accept(name, shares));
        }
        Timed(server, at.CloseShares);
        foreach (string name in Here(3))
        {
            uint[] values = [.. Enumerable.Range(0, plain.Length).Select(_ => (uint)random.Next(1 << options.Bits))];
            System.Numerics.Tensors.TensorPrimitives.Add<uint>(plain, values, plain);
            Deliveries deliveries = at.DeliveriesFor(name);
            down += SecureWire.Write(deliveries, FederationJson.Default.Deliveries).Length;
            byte[] masked = Timed(client, () => by[name].Mask(deliveries, values));
            up += masked.Length;
            Timed(server, () => at.Accept(name, new MaskedInput(MaskedInput.CurrentFormat, setup.Attempt, name), masked));
        }
        SurvivorList survivors = Timed(server, at.CloseMasked);
        foreach (string name in Here(4))
        {
            SurvivorSignature signature = Timed(client, () => by[name].Sign(survivors));
            up += SecureWire.Write(signature, FederationJson.Default.SurvivorSignature).Length;
            down += SecureWire.Write(survivors, FederationJson.Default.SurvivorList).Length;
            Timed(server, () => at.Accept(name, signature));
        }
        SignatureList signatures = Timed(server, at.CloseSignatures);
        foreach (string name in Here(5))
        {
            UnmaskShares shares = Timed(client, () => by[name].Unmask(signatures));
            up += SecureWire.Write(shares, FederationJson.Default.UnmaskShares).Length;
            down += SecureWire.Write(signatures, FederationJson.Default.SignatureList).Length;
            Timed(server, () => at.Accept(name, shares));
        }
        uint[] sum = Timed(server, at.OpenSum);
        foreach (SecureClient each in by.Values)
            each.Dispose();
        int stay = Here(3).Length;
        return new SecureAttempt(at.Plan.Degree, at.Plan.ModulusBits, up / stay, down / stay, client.Milliseconds / stay, server.Milliseconds, plain.AsSpan().SequenceEqual(sum));

        string[] Here(int step) => [.. names.Where(name => leaves[name] > step)];
    }

    static T Timed<T>(Clock clock, Func<T> work)
    {
        TimeSpan start = Environment.CpuUsage.TotalTime;
        T made = work();
        clock.Milliseconds += (Environment.CpuUsage.TotalTime - start).TotalMilliseconds;
        return made;
    }

    static void Timed(Clock clock, Action work) => Timed(clock, () =>
    {
        work();
        return true;
    });

    // Of processors: others on the machine hardly change it.
    sealed class Clock
    {
        public double Milliseconds { get; set; }
    }
}
