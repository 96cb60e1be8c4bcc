using System.Buffers;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Coppice.Federation.Codecs;
using Coppice.Federation.Remote;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Secure;

/// <summary>A client that takes part with secure aggregation: it trains as <see cref="Client"/> does, and what it sends of the update is masked. Messages are bytes, whoever carries them.</summary>
/// <param name="client">Trains, and keeps what it trained.</param>
/// <param name="signer">Its own key (ECDSA P-256).</param>
/// <param name="trusted">Says who the other clients of the run are.</param>
/// <param name="journal">The file of the attempts it took part in; null keeps them in memory.</param>
public sealed class SecureChannel(Client client, ECDsa signer, ISigners trusted, string? journal = null) : IClientChannel, IDisposable
{
    /// <summary>How formats of its messages begin.</summary>
    internal const string Prefix = "coppice.secure.";

    readonly SecureJournal journal = new(journal);
    SecureClient? attempt;
    uint[]? values;
    (byte[] Asked, ReadOnlyMemory<byte> Answered) last = ([], default);

    /// <inheritdoc/>
    public string Client => client.Id;

    /// <summary>The certificate (DER) that shows the others that its signatures are its own; empty where they know its key.</summary>
    public byte[] Certificate { get; init; } = [];

    /// <summary>The one way of secure aggregation that it takes part in; null takes the server's.</summary>
    public SecureOptions? Wanted { get; init; }

    /// <summary>With fewer clients in an attempt it takes no part.</summary>
    public int LeastClients { get; init; } = 3;

    /// <summary>Whether tasks without secure aggregation are answered, in the open; but not in a run that had some with.</summary>
    public bool AnswersOpenly { get; init; }

    /// <summary>A client of a network: what it signs with is its certificate's key, and whom it trusts those that the same authority certified.</summary>
    public static SecureChannel Certified(Client client, ClientIdentity identity, TimeProvider time, string? journal, SecureOptions? wanted, int leastClients) =>
        new(client, identity.Certificate.GetECDsaPrivateKey() ?? throw FormatError.At($"client '{client.Id}'", "its certificate has no key of an elliptic curve, and signs nothing"), new CertifiedSigners(identity.Authority, time), journal)
        {
            Certificate = identity.Certificate.RawData,
            Wanted = wanted,
            AnswersOpenly = wanted is null,
            LeastClients = leastClients,
        };

    /// <summary>Clients of one process, with new keys that they know of each other.</summary>
    public static IReadOnlyList<SecureChannel> ForAll(IReadOnlyList<Client> clients)
    {
        ECDsa[] signers = [.. clients.Select(_ => ECDsa.Create(ECCurve.NamedCurves.nistP256))];
        SigningKeys trusted = new(clients.Zip(signers, (client, signer) => (client.Id, signer.ExportSubjectPublicKeyInfo())));
        return [.. clients.Zip(signers, (client, signer) => new SecureChannel(client, signer, trusted))];
    }

    /// <summary>Answers one message of the protocol; the same message again gets the same bytes.</summary>
    public ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, CancellationToken cancel)
    {
        byte[] hash = SHA256.HashData(task.Span);
        if (!last.Asked.AsSpan().SequenceEqual(hash))
            last = (hash, Answer(task, cancel));
        return last.Answered;
    }

    ReadOnlyMemory<byte> Answer(ReadOnlyMemory<byte> message, CancellationToken cancel)
    {
        string name = $"message for client '{Client}'";
        string format = Message.FormatOf(name, message);
        if (format == SecureSetup.CurrentFormat)
            return Begin(name, message, cancel);
        if (!format.StartsWith(Prefix, StringComparison.Ordinal))
            return AnswerOpenly(name, format, message, cancel);
        SecureClient under = attempt ?? throw FormatError.At(name, $"is '{format}' of an attempt that this process has not begun; after a restart an attempt is over");
        string id = under.Setup.Attempt;
        switch (format)
        {
            case RosterMessage.CurrentFormat:
                return SecureWire.Write(under.Share(SecureWire.Read(name, message, FederationJson.Default.RosterMessage, format, id)), FederationJson.Default.SealedShares);
            case Deliveries.CurrentFormat:
                Deliveries deliveries = SecureWire.Read(name, message, FederationJson.Default.Deliveries, format, id);
                uint[] own = values ?? throw FormatError.At(name, "its numbers were masked before");
                values = null;
                return SecureWire.Write(new MaskedInput(MaskedInput.CurrentFormat, id, Client), FederationJson.Default.MaskedInput, under.Mask(deliveries, own));
            case SurvivorList.CurrentFormat:
                return SecureWire.Write(under.Sign(SecureWire.Read(name, message, FederationJson.Default.SurvivorList, format, id)), FederationJson.Default.SurvivorSignature);
            case SignatureList.CurrentFormat:
                return SecureWire.Write(under.Unmask(SecureWire.Read(name, message, FederationJson.Default.SignatureList, format, id)), FederationJson.Default.UnmaskShares);
            default:
                throw FormatError.At(name, $"is '{format}', which is no message of secure aggregation to a client");
        }
    }

    ReadOnlyMemory<byte> AnswerOpenly(string name, string format, ReadOnlyMemory<byte> message, CancellationToken cancel)
    {
        if (!AnswersOpenly)
            throw FormatError.At(name, $"is '{format}', which is no message of secure aggregation; nothing is sent in the open");
        if (format == RoundTask.CurrentFormat && RoundTask.Read(name, message, out _).Run is var run && journal.Knows(run))
            throw FormatError.At(name, $"is without secure aggregation, which run '{run}' is with; an update is not sent in the open");
        return client.Answer(message, cancel);
    }

    // Trains first: keys are made when the update is there, and an attempt then takes seconds.
    byte[] Begin(string name, ReadOnlyMemory<byte> message, CancellationToken cancel)
    {
        SecureSetup setup = SecureWire.Read(name, message, FederationJson.Default.SecureSetup, SecureSetup.CurrentFormat, attempt: null, out ReadOnlyMemory<byte> task);
        setup.Check(name);
        if (Wanted is not null && Wanted != setup.Options)
            throw FormatError.At(name, $"is for secure aggregation by {setup.Options.Name}, this client takes part in {Wanted.Name} alone");
        uint[] encoded = Encode(name, setup, task, client.Answer(task, cancel));
        SecureClient next = new(Client, setup, signer, trusted, journal) { Certificate = Certificate, LeastClients = LeastClients };
        attempt?.Dispose();
        (attempt, values) = (next, encoded);
        return SecureWire.Write(next.Advertise(), FederationJson.Default.KeyAdvert);
    }

    static uint[] Encode(string name, SecureSetup setup, ReadOnlyMemory<byte> message, ReadOnlyMemory<byte> answer)
    {
        RoundTask task = RoundTask.Read(name, message, out ReadOnlyMemory<byte> tensors);
        if (task.Run != setup.Run || task.Round != setup.Round)
            throw FormatError.At(name, $"is for round {setup.Round} of run '{setup.Run}', its task for round {task.Round} of '{task.Run}'");
        CodecRules.Check(CodecRegistry.Find(task.Codec), CodecUse.SecureAggregation);
        ClientUpdate update = Message.Read(name, answer, FederationJson.Default.ClientUpdate, out ReadOnlyMemory<byte> weights);
        using SafeTensors before = SafeTensors.Read(name, tensors), after = SafeTensors.Read(name, weights);
        if (setup.Numbers > (tensors.Length + weights.Length) / sizeof(ushort))
            throw FormatError.At(name, $"is for updates of {setup.Numbers:N0} numbers, more than the model has");
        using AesCtr rounding = new(SHA256.HashData(Encoding.UTF8.GetBytes(FormattableString.Invariant($"{task.Seed}|rounding|{task.Round}|{task.Client}"))), expectedBytes: 4L * setup.Numbers);
        float[] row = ArrayPool<float>.Shared.Rent(setup.Numbers);
        try
        {
            Span<float> delta = row.AsSpan(0, setup.Numbers);
            ParameterRow.Difference(after, before, delta);
            return setup.Encoding.Encode(delta, update.Samples, update.LossBefore, update.LossAfter, rounding);
        }
        finally
        {
            ArrayPool<float>.Shared.Return(row, clearArray: true);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        attempt?.Dispose();
        signer.Dispose();
    }
}
