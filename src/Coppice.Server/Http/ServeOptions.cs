using System.Net;
using Coppice.Federation;
using Microsoft.Extensions.Logging;

namespace Coppice.Server.Http;

/// <summary>Where and how a run is served.</summary>
sealed record ServeOptions
{
    /// <summary>The address and port of the protocol; port 0 takes a free one.</summary>
    public IPEndPoint Listen { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>The loopback port of the health checks; null for none.</summary>
    public int? HealthPort { get; init; }

    /// <summary>Uploads and commits at a time; more are asked to come back.</summary>
    public int Uploads { get; init; } = 16;

    /// <summary>After how many seconds a client that has nothing to do asks again.</summary>
    public int PollSeconds { get; init; } = 1;

    /// <summary>How often the store is looked into without being told.</summary>
    public TimeSpan Sweep { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>The slowest that a body may come, in bytes a second.</summary>
    public double SlowestBody { get; init; } = 1024;

    /// <summary>How long a handshake and headers may take, and a body may be slower than that; more than a second.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The tokenizer's files, which clients need.</summary>
    public IReadOnlyList<(string Name, byte[] Bytes)> Tokenizer { get; init; } = [];

    /// <summary>Told of every closed round.</summary>
    public IProgress<RoundRecord>? Progress { get; init; }

    /// <summary>Adds where logs go; none by default.</summary>
    public Action<ILoggingBuilder>? Logging { get; init; }
}
