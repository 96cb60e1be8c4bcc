using System.Text.Json;
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
        JsonElement explained = CommandLine.Json("federate", "explain-round", run, "2");
        Assert.True(explained.GetProperty("change").GetDouble() > 0);
        Assert.All(explained.GetProperty("clients").EnumerateArray(), client => Assert.InRange(client.GetProperty("cosine").GetDouble(), 0.1, 1));
        Assert.All(explained.GetProperty("clients").EnumerateArray(), client => Assert.Equal(1, client.GetProperty("roundsSince").GetInt32()));
    }

    [Fact]
    public async Task A_run_that_one_process_drives_goes_on_from_its_last_round_and_is_explained()
    {
        string[] names = Processes.Texts(tiny), how = ["--strategy", "fedadam:0.01", "--robust", "median"];
        string run = tiny["run"], port = Processes.FreePort(), driven = Path.Combine(run, "driven", "run.safetensors");
        Assert.Equal(0, CommandLine.Run(["federate", "init", run, "--host", "localhost", "--client", .. names]).Code);
        Assert.Equal(0, CommandLine.Run(["federate", "simulate", tiny.Model, "--clients", tiny["texts"], .. Training, .. how, "-o", tiny["simulated"]]).Code);
        string[] serve = ["federate", "serve", tiny.Model, "--run", run, "--listen", $"127.0.0.1:{port}", .. Training, .. how, "-o", tiny["served"]];
        int server = processes.Start(serve);
        int[] joined = [.. names.Select(name => processes.Start(["federate", "join", $"https://localhost:{port}", "--certificate", Path.Combine(run, "clients", name + ".pem"),
            "--text", Path.Combine(tiny["texts"], name), "--state", tiny[name + ".state"]]))];
        await processes.Reached(() => File.Exists(driven));
        processes.Kill(server);
        await processes.Done([processes.Start(serve), .. joined]);
        Assert.Equal(TinyFolder.Bytes(tiny["simulated"]), TinyFolder.Bytes(tiny["served"]));

        Assert.Contains("a run that one process drives: 3 rounds closed", CommandLine.Run("federate", "status", run).Out, StringComparison.Ordinal);
        Assert.Equal(3, CommandLine.Json("federate", "explain-round", run, "2").GetProperty("clients").GetArrayLength());
        Assert.Contains("no round 4", CommandLine.Run("federate", "explain-round", run, "4").FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("--over-select: this run is driven by one process", CommandLine.Run([.. serve, "--over-select", "1"]).FailsInOneLine(2), StringComparison.Ordinal);
    }
}
