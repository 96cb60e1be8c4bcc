namespace Coppice.Federation.Secure;

/// <summary>How secure aggregation goes on where clients are elsewhere, have keys of their own, and remember what they took part in.</summary>
/// <param name="Signers">Who the clients are.</param>
public sealed record SecureHosting(ISigners Signers)
{
    /// <summary>How often a round is begun, each time with new keys, before the run ends.</summary>
    public int Attempts { get; init; } = 3;

    /// <summary>Told of clients that are gone from an attempt, and why, and of attempts that failed.</summary>
    public IProgress<string>? Log { get; init; }
}
