using System.Text.Json.Serialization.Metadata;
using Coppice.Formats;

namespace Coppice.Federation.Secure;

/// <summary>A message of secure aggregation: the control part of a frame as all messages have.</summary>
interface ISecureMessage
{
    /// <summary>Which message, and of which version.</summary>
    string Format { get; }

    /// <summary>Of which attempt.</summary>
    string Attempt { get; }
}

/// <summary>1, client to server: public keys of this attempt, for masks and for sealing, with the client's signature and the certificate (DER) that says whose it is; empty where keys for signatures are known without.</summary>
sealed record KeyAdvert(string Format, string Attempt, string Client, byte[] MaskKey, byte[] SealKey, byte[] Signature, byte[] Certificate) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.keys.1";

    /// <summary>What is signed.</summary>
    public static byte[] Hash(byte[] context, string client, byte[] maskKey, byte[] sealKey)
    {
        using Transcript transcript = new("keys");
        return transcript.Add(context).Add(client).Add(maskKey).Add(sealKey).Hash();
    }
}

/// <summary>1, server to clients: all keys, by rising name of their client.</summary>
sealed record RosterMessage(string Format, string Attempt, KeyAdvert[] Clients) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.roster.1";
}

/// <summary>Bytes that are sealed for, or by, a client.</summary>
sealed record SealedShare(string Client, byte[] Bytes);

/// <summary>2, client to server: for each neighbour its sealed shares of the client's seed and of its masking key, 40 bytes each, and a hash of the seed.</summary>
sealed record SealedShares(string Format, string Attempt, string Client, byte[] SeedHash, SealedShare[] Shares) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.shares.1";

    /// <summary>The hash of a seed, by which the server knows that shares gave it back.</summary>
    public static byte[] HashSeed(byte[] rosterHash, string client, byte[] seed)
    {
        using Transcript transcript = new("seed");
        return transcript.Add(rosterHash).Add(client).Add(seed).Hash();
    }
}

/// <summary>2, server to a client: who has sent shares, by rising name, and those that are for this client.</summary>
sealed record Deliveries(string Format, string Attempt, string[] Sharers, SealedShare[] Shares) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.deliveries.1";
}

/// <summary>3, client to server: its masked numbers follow, of r bits each.</summary>
sealed record MaskedInput(string Format, string Attempt, string Client) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.masked.1";
}

/// <summary>3, server to clients: whose numbers came, by rising name.</summary>
sealed record SurvivorList(string Format, string Attempt, string[] Survivors) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.survivors.1";

    /// <summary>What is signed: who had sent shares as well, so that all agree on whose masks are in the sum.</summary>
    public static byte[] Hash(byte[] rosterHash, IReadOnlyCollection<string> sharers, IReadOnlyCollection<string> survivors)
    {
        using Transcript transcript = new("survivors");
        return transcript.Add(rosterHash).Add(sharers).Add(survivors).Hash();
    }
}

/// <summary>4, client to server: that it has seen this set, and will see no other.</summary>
sealed record SurvivorSignature(string Format, string Attempt, string Client, byte[] Signature) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.signature.1";
}

/// <summary>4, server to clients: all signatures.</summary>
sealed record SignatureList(string Format, string Attempt, SurvivorSignature[] Signatures) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.signatures.1";
}

/// <summary>A share of a client's secret, 40 bytes.</summary>
sealed record OpenShare(string Client, byte[] Bytes);

/// <summary>5, client to server: its shares of survivors' seeds and of dropouts' masking keys.</summary>
sealed record UnmaskShares(string Format, string Attempt, string Client, OpenShare[] Seeds, OpenShare[] Keys) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.unmask.1";
}

/// <summary>These messages as bytes.</summary>
static class SecureWire
{
    public static byte[] Write<T>(T message, JsonTypeInfo<T> type, ReadOnlySpan<byte> payload = default) where T : ISecureMessage => Message.Write(message, type, payload);

    /// <summary>Takes a message apart; <paramref name="attempt"/> is the one that is under way, null where it begins one.</summary>
    /// <exception cref="Tensors.CoppiceException">It is another message, or of another attempt.</exception>
    public static T Read<T>(string name, ReadOnlyMemory<byte> bytes, JsonTypeInfo<T> type, string format, string? attempt, out ReadOnlyMemory<byte> payload) where T : ISecureMessage
    {
        T message = Message.Read(name, bytes, type, out payload);
        if (message.Format != format)
            throw FormatError.At(name, $"format is '{message.Format}', wanted {format}");
        if (attempt is not null && message.Attempt != attempt)
            throw FormatError.At(name, $"is of attempt '{message.Attempt}', the one under way is {attempt}");
        return message;
    }

    /// <summary>The same of a message that nothing may follow.</summary>
    public static T Read<T>(string name, ReadOnlyMemory<byte> bytes, JsonTypeInfo<T> type, string format, string? attempt) where T : ISecureMessage
    {
        T message = Read(name, bytes, type, format, attempt, out ReadOnlyMemory<byte> payload);
        return payload.Length == 0 ? message : throw FormatError.At(name, $"has {payload.Length:N0} bytes too many");
    }
}
