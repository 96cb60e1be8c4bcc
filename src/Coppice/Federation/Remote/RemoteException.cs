using Coppice.Tensors;

namespace Coppice.Federation.Remote;

/// <summary>The server did not grant a request.</summary>
/// <param name="status">HTTP's code.</param>
/// <param name="message">The reason, in one line.</param>
/// <param name="offset">Where it wants the next chunk, if it says so.</param>
/// <param name="retryAfter">When to ask again, if it says so.</param>
public sealed class RemoteException(int status, string message, long? offset, TimeSpan? retryAfter) : CoppiceException(message)
{
    /// <summary>HTTP's code.</summary>
    public int Status => status;

    /// <summary>Where the server wants the next chunk.</summary>
    public long? Offset => offset;

    /// <summary>When to ask again.</summary>
    public TimeSpan? RetryAfter => retryAfter;

    /// <summary>Whether the same request may be granted later.</summary>
    public bool IsPassing => status is 408 or 429 or >= 500;
}
