using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using Coppice.Federation;
using Coppice.Federation.Remote;
using Coppice.Server.Observation;
using Coppice.Server.Rounds;
using Coppice.Server.Tests.Http;
using Coppice.Tensors;
using Coppice.Tests.Federation;

namespace Coppice.Server.Tests.Observation;

public sealed class TelemetryTests
{
    [Fact]
    public async Task A_run_is_seen_by_who_listens()
    {
        ConcurrentDictionary<string, double> sums = new();
        ConcurrentBag<string> spans = [];
        using MeterListener meters = new() { InstrumentPublished = (instrument, listener) => { if (instrument.Meter.Name == Telemetry.Name) listener.EnableMeasurementEvents(instrument); } };
        meters.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument.Name + Tag(tags), value));
        meters.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument.Name + ".count", 1));
        meters.Start();
        using ActivityListener activities = new() { ShouldListenTo = source => source.Name == Telemetry.Name, Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData, ActivityStopped = activity => spans.Add($"{activity.DisplayName} {activity.GetTagItem("status")}") };
        ActivitySource.AddActivityListener(activities);

        await using Served served = await Served.Start(new RunSettings(Tiny.Options with { Rounds = 1 }), clients: 1);
        using RemoteClient remote = served.Remote(Tiny.Name(0));
        Assert.Equal(1, await remote.Run(new Client(Tiny.Name(0), Tiny.Text(0), new WorkerPool(1))).WaitAsync(TimeSpan.FromSeconds(60)));

        // Other tests' servers may be counted too.
        Assert.True(sums["coppice.federation.updates.committed"] >= 1);
        Assert.True(sums["coppice.federation.rounds"] >= 1);
        Assert.True(sums["coppice.federation.traffic.up"] > 1000 && sums["coppice.federation.traffic.down"] > 1000);
        Assert.True(sums["coppice.federation.request.duration.count"] >= 5);
        Assert.Contains(spans, span => span.StartsWith("close round", StringComparison.Ordinal));
        Assert.Contains("POST /v1/assignments 200", spans);

        void Add(string name, double value) => sums.AddOrUpdate(name, value, (_, sum) => sum + value);

        static string Tag(ReadOnlySpan<KeyValuePair<string, object?>> tags) => tags.IsEmpty ? "" : $".{tags[0].Value}";
    }

    [Fact]
    public async Task A_collector_gets_traces_and_metrics()
    {
        using HttpListener collector = new();
        // The exporter speaks HTTP to the port that OpenTelemetry has for it; another test of this machine may hold it.
        collector.Prefixes.Add("http://localhost:4318/");
        try
        {
            collector.Start();
        }
        catch (HttpListenerException)
        {
            Assert.Fail("port 4318 is taken");
        }
        ConcurrentBag<string> paths = [];
        Task listening = Task.Run(async () =>
        {
            while (paths.Distinct().Count() < 2)
            {
                HttpListenerContext context = await collector.GetContextAsync();
                paths.Add(context.Request.Url!.AbsolutePath);
                context.Response.Close();
            }
        });
        using (new OtlpExport("http://localhost:4318"))
        {
            using (Telemetry.Source.StartActivity("close round"))
                Telemetry.Update("committed");
        }
        await listening.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(["/v1/metrics", "/v1/traces"], paths.Distinct().Order());
        Assert.Contains("wanted http://HOST:4317", Assert.Throws<CoppiceException>(() => new OtlpExport("collector")).Message, StringComparison.Ordinal);
    }
}
