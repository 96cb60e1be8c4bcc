using System.Globalization;
using System.Net;
using Coppice.Server.Store;
using Coppice.Server.Tests.Servers;
using Coppice.Tests.Cli;

namespace Coppice.Server.Tests.Cli;

/// <summary>Two coordinators and an aggregator over PostgreSQL and RabbitMQ, each a process of its own: whoever is killed, they end with the bytes of the simulation.</summary>
[Collection(CommandLine.Collection)]
public sealed class ManyCoordinatorsTests : IDisposable
{
    static readonly string[] Training = ["--rounds", "3", "--local-steps", "2", "--batch", "2", "--context", "16", "--rate", "0.01"];

    readonly TinyFolder tiny = new();
    readonly Processes processes = new();

    public void Dispose()
    {
        processes.Dispose();
        tiny.Dispose();
    }

    [ServersFact]
    public async Task Coordinators_and_aggregators_that_are_killed_go_on_to_the_bytes_of_the_simulation()
    {
        using PostgresSchema schema = new();
        string[] names = Processes.Texts(tiny), ports = [Processes.FreePort(), Processes.FreePort()], store = ["--store", schema.Settings], queue = ["--queue", TestServer.Rabbit.Address];
        string run = tiny["run"], copy = tiny["copy"];
        Assert.Equal(0, CommandLine.Run(["federate", "init", run, .. store, "--host", "localhost", "--client", .. names]).Code);
        Assert.Equal(0, CommandLine.Run(["federate", "simulate", tiny.Model, "--clients", tiny["texts"], .. Training, "-o", tiny["simulated"]]).Code);
        // What another machine has of the run's folder.
        Directory.CreateDirectory(copy);
        foreach (string file in new[] { "authority.pem", "server.pem" })
            File.Copy(Path.Combine(run, file), Path.Combine(copy, file));

        string[] Serve(string role, params string[] own) => ["federate", "serve", tiny.Model, "--run", copy, "--role", role, "--blobs", tiny["shared"], .. store, .. queue, .. Training, .. own];
        string[][] coordinators = [.. ports.Select((port, i) => Serve("coordinator", "--listen", $"127.0.0.1:{port}", "-o", tiny[$"served{i}"]))];
        string[] aggregator = Serve("aggregator");
        // The one name that clients know: each new connection goes to the next coordinator that answers, and one in a hundred messages ends its connection.
        int messages = 0;
        using CuttingProxy name = new([.. ports.Select(port => new IPEndPoint(IPAddress.Loopback, int.Parse(port, CultureInfo.InvariantCulture)))], _ => ++messages % 100 == 0 ? messages % 200 == 0 ? Cut.Before : Cut.After : Cut.None);
        string[] Join(string client) => ["federate", "join", $"https://localhost:{name.Port}", "--certificate", Path.Combine(run, "clients", client + ".pem"), "--text", Path.Combine(tiny["texts"], client), "--state", tiny[client + ".state"]];

        int[] first = [processes.Start(coordinators[0]), processes.Start(coordinators[1]), processes.Start(aggregator)];
        int[] clients = [processes.Start(Join(names[0])), processes.Start(Join(names[1]))];
        using PostgresRunStore looking = new(schema.Settings, new Random(1));
        await processes.Reached(looking, store => Processes.Committed(store, 1) >= 1);
        processes.Kill(first[0]);
        processes.Kill(first[2]);
        clients = [.. clients, processes.Start(Join(names[2]))];
        await processes.Reached(looking, store => Processes.Committed(store, 1) == 3);
        int[] second = [processes.Start(coordinators[0]), processes.Start(aggregator)];
        await processes.Reached(looking, store => Processes.Committed(store, 2) >= 1);
        processes.Kill(first[1]);
        await processes.Done([.. second, processes.Start(coordinators[1]), .. clients]);
        foreach (string served in new[] { "served0", "served1" })
            Assert.Equal(TinyFolder.Bytes(tiny["simulated"]), TinyFolder.Bytes(tiny[served]));
        Assert.Contains("run done", CommandLine.Run(["federate", "status", run, .. store]).Out, StringComparison.Ordinal);
        Assert.True(name.Cuts > 0, "no connection was cut");
    }
}
