using Coppice.Server.Store;
using Coppice.Tests.Cli;

namespace Coppice.Server.Tests.Cli;

/// <summary>A server and three clients, each a process of its own: killed in the middle and started again, they end with the bytes of the simulation.</summary>
[Collection(CommandLine.Collection)]
public sealed class FourProcessesTests : IDisposable
{
    static readonly string[] Training = ["--rounds", "3", "--local-steps", "2", "--batch", "2", "--context", "16", "--rate", "0.01"];

    readonly TinyFolder tiny = new();
    readonly Processes processes = new();

    public void Dispose()
    {
        processes.Dispose();
        tiny.Dispose();
    }

    [Fact]
    public async Task A_server_and_a_client_that_are_killed_go_on_to_the_bytes_of_the_simulation()
    {
        string[] names = Processes.Texts(tiny);
        string run = tiny["run"], port = Processes.FreePort();
        Assert.Equal(0, CommandLine.Run(["federate", "init", run, "--host", "localhost", "--client", .. names]).Code);
        Assert.Equal(0, CommandLine.Run(["federate", "simulate", tiny.Model, "--clients", tiny["texts"], .. Training, "-o", tiny["simulated"]]).Code);

        string[] serve = ["federate", "serve", tiny.Model, "--run", run, "--listen", $"127.0.0.1:{port}", .. Training, "-o", tiny["served"]];
        string[][] joins = [.. names.Select(name => (string[])["federate", "join", $"https://localhost:{port}", "--certificate", Path.Combine(run, "clients", name + ".pem"),
            "--text", Path.Combine(tiny["texts"], name), "--state", tiny[name + ".state"]])];
        int server = processes.Start(serve), victim = processes.Start(joins[0]);
        using SqliteRunStore store = new(Path.Combine(run, SqliteRunStore.FileName));
        await processes.Reached(store, store => Processes.Committed(store, 1) >= 1);
        processes.Kill(victim);
        int[] others = [processes.Start(joins[1]), processes.Start(joins[2])];
        await processes.Reached(store, store => Processes.Committed(store, 1) >= 2);
        processes.Kill(server);

        await processes.Done([processes.Start(serve), processes.Start(joins[0]), .. others]);
        Assert.Equal(TinyFolder.Bytes(tiny["simulated"]), TinyFolder.Bytes(tiny["served"]));

        Outcome status = CommandLine.Run("federate", "status", run);
        Assert.Equal(0, status.Code);
        Assert.Contains("run done", status.Out, StringComparison.Ordinal);
        Assert.Equal(3, CommandLine.Json("federate", "status", run).GetProperty("rounds").GetArrayLength());
    }
}
