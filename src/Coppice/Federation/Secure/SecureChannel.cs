using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Secure;

/// <summary>A client that takes part with secure aggregation: it trains as <see cref="Client"/> does, and what it sends of the update is masked. Messages are bytes, whoever carries them.</summary>
/// <param name="client">Trains, and keeps what it trained.</param>
/// <param name="signer">Its own key (ECDSA P-256).</param>
/// <param name="trusted">The public keys of all clients of the run.</param>
/// <param name="journal">The file of the attempts it took part in; null keeps them in memory.</param>
public sealed class SecureChannel(Client client, ECDsa signer, SigningKeys trusted, string? journal = null) : IClientChannel, IDisposable
{
    readonly SecureJournal journal = new(journal);
    SecureClient? attempt;
    uint[]? values;
    (byte[] Asked, ReadOnlyMemory<byte> Answered) last = ([], default);

    /// <inheritdoc/>
    public string Client => client.Id;

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
                throw FormatError.At(name, $"is '{format}', which is no message of secure aggregation; an update is not sent in the open");
        }
    }

    // Trains first: keys are made when the update is there, and an attempt then takes seconds.
    byte[] Begin(string name, ReadOnlyMemory<byte> message, CancellationToken cancel)
    {
        SecureSetup setup = SecureWire.Read(name, message, FederationJson.Default.SecureSetup, SecureSetup.CurrentFormat, attempt: null, out ReadOnlyMemory<byte> task);
        setup.Check(name);
        uint[] encoded = Encode(name, setup, task, client.Answer(task, cancel));
        SecureClient next = new(Client, setup, signer, trusted, journal);
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
