namespace Coppice.Federation.Remote;

/// <summary>How a client treats a server that does not answer.</summary>
public sealed record RemoteOptions
{
    /// <summary>The first wait after a failure; each further one is twice as long. Of every wait up to a half is taken off at random, so that clients do not come back all at once.</summary>
    public TimeSpan FirstWait { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>The longest wait.</summary>
    public TimeSpan LongestWait { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a server may be out of reach before the client gives up.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Bytes of an update that are sent at a time, at most 4 MB.</summary>
    public int ChunkBytes { get; init; } = Wire.ChunkBytes;
}
