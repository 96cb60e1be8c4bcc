using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Coppice.Server.Observation;

/// <summary>What a server tells those who watch it: traces and metrics under one name, for whatever listens (OpenTelemetry). Nobody listening, it costs next to nothing. No text, no number of an update is in it.</summary>
static class Telemetry
{
    /// <summary>The name of the source and of the meter.</summary>
    public const string Name = "Coppice.Federation";

    /// <summary>Spans: a request each, and each round's closing.</summary>
    public static ActivitySource Source { get; } = new(Name);

    static readonly Meter Meter = new(Name);

    static readonly Counter<long> Updates = Meter.CreateCounter<long>("coppice.federation.updates", "{update}", "Updates of clients, by outcome: committed, refused, late");
    static readonly Counter<long> Traffic = Meter.CreateCounter<long>("coppice.federation.traffic", "By", "Bytes of tasks sent (down) and of chunks taken (up)");
    static readonly Counter<long> Rounds = Meter.CreateCounter<long>("coppice.federation.rounds", "{round}", "Rounds that were closed");
    static readonly Histogram<double> Closing = Meter.CreateHistogram<double>("coppice.federation.round.closing", "s", "Time from the last update to the next model");
    static readonly Histogram<double> Requests = Meter.CreateHistogram<double>("coppice.federation.request.duration", "s", "Time of a request, by method and status");

    /// <summary>Counts an update.</summary>
    public static void Update(string outcome) => Updates.Add(1, new KeyValuePair<string, object?>("outcome", outcome));

    /// <summary>Counts bytes, <c>up</c> or <c>down</c>.</summary>
    public static void Bytes(string direction, long bytes) => Traffic.Add(bytes, new KeyValuePair<string, object?>("direction", direction));

    /// <summary>Counts a round.</summary>
    public static void Closed(TimeSpan closing)
    {
        Rounds.Add(1);
        Closing.Record(closing.TotalSeconds);
    }

    /// <summary>Counts a request.</summary>
    public static void Request(string method, int status, TimeSpan duration) => Requests.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("method", method), new KeyValuePair<string, object?>("status", status));
}
