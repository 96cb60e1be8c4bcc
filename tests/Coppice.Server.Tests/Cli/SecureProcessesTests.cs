using System.Text.Json;
using Coppice.Tests.Cli;

namespace Coppice.Server.Tests.Cli;

/// <summary>Secure aggregation among processes: the same model as in one, and nothing of a single client at the server.</summary>
[Collection(CommandLine.Collection)]
public sealed class SecureProcessesTests : IDisposable
{
    static readonly string[] Training = ["--rounds", "2", "--local-steps", "2", "--batch", "2", "--context", "16", "--rate", "0.01", "--secure", "hadamard:40:16:512:0"];

    readonly TinyFolder tiny = new();
    readonly Processes processes = new();

    public void Dispose()
    {
        processes.Dispose();
        tiny.Dispose();
    }

    [Fact]
    public async Task A_server_and_its_clients_end_with_the_bytes_of_the_simulation()
    {
        string[] names = Processes.Texts(tiny);
        string run = tiny["run"], port = Processes.FreePort();
        Assert.Equal(0, CommandLine.Run(["federate", "init", run, "--host", "localhost", "--client", .. names]).Code);
        Assert.Equal(0, CommandLine.Run(["federate", "simulate", tiny.Model, "--clients", tiny["texts"], .. Training, "-o", tiny["simulated"]]).Code);
        string[] serve = ["federate", "serve", tiny.Model, "--run", run, "--listen", $"127.0.0.1:{port}", .. Training, "-o", tiny["served"]];
        // Two insist on it, and one does as the server asks.
        int[] all = [processes.Start(serve), .. names.Select((name, i) => processes.Start(["federate", "join", $"https://localhost:{port}", "--certificate", Path.Combine(run, "clients", name + ".pem"),
            "--text", Path.Combine(tiny["texts"], name), "--state", tiny[name + ".state"], .. i < 2 ? (string[])["--secure", "hadamard:40:16:512:0", "--least-clients", "3"] : []]))];
        await processes.Done(all);
        Assert.Equal(TinyFolder.Bytes(tiny["simulated"]), TinyFolder.Bytes(tiny["served"]));

        string status = CommandLine.Run("federate", "status", run).Out;
        Assert.All(names, name => Assert.Matches($@"{name}  +\S+ \S+Z  +\S+ \S+Z  +in\n", status));
        Assert.Matches("  run  one process drives it, with 3 clients\n(.*\n)*.*  run  the run is done\n", status);
        JsonElement explained = CommandLine.Json("federate", "explain-round", run, "2");
        Assert.Equal("closed", explained.GetProperty("state").GetString());
        Assert.All(explained.GetProperty("clients").EnumerateArray(), client => Assert.Equal((0, JsonValueKind.Null), (client.GetProperty("samples").GetInt32(), client.GetProperty("lossBefore").ValueKind)));
        Assert.Contains("their sum alone: keys of 3 clients, 3 or more to the end", CommandLine.Run("federate", "explain-round", run, "1").Out, StringComparison.Ordinal);
        Assert.True(File.Exists(tiny[names[2] + ".state/secure.json"]));
        foreach (string folder in new[] { tiny[names[0] + ".state"], Path.Combine(run, "driven"), Path.Combine(run, "uploads") })
            Assert.True(OperatingSystem.IsWindows() || File.GetUnixFileMode(folder) == (UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute));
        Assert.Contains("(strategy 'fedavg' with secure aggregation), which does not take it", CommandLine.Run([.. serve, "--minimum", "2"]).FailsInOneLine(2), StringComparison.Ordinal);
    }

    [Fact]
    public void What_does_not_go_with_it_is_one_line()
    {
        string[] serve = ["federate", "serve", tiny.Model, "--run", tiny["run"], "--listen", "127.0.0.1:0", "-o", tiny["out"]];
        Assert.Contains("'int8' is not linear", CommandLine.Run([.. serve, "--secure", "hadamard:4", "--codec", "int8"]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("--step-deadline goes with --secure", CommandLine.Run([.. serve, "--step-deadline", "5"]).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("lacks a norm", CommandLine.Run("federate", "join", "https://localhost:1", "--certificate", tiny["x.pem"], "--text", tiny.Text, "--secure", "plain").FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Empty(tiny.Others);
    }
}
