using Coppice.Tensors;

namespace Coppice.Server.Rounds;

/// <summary>A request that is not granted: an HTTP status, one line, and what the client needs to do it right.</summary>
sealed class RefusedException(int status, string message, long? offset = null, int? retryAfter = null) : CoppiceException(message)
{
    public const int Unauthorized = 401, Forbidden = 403, NotFound = 404, Conflict = 409, Gone = 410, TooLarge = 413, Unprocessable = 422, TooMany = 429, Unavailable = 503;

    /// <summary>HTTP's code.</summary>
    public int Status => status;

    /// <summary>Where the next chunk of an upload begins.</summary>
    public long? Offset => offset;

    /// <summary>Seconds after which to ask again.</summary>
    public int? RetryAfter => retryAfter;
}
