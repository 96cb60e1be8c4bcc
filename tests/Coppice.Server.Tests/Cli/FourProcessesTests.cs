using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Coppice.Server.Store;
using Coppice.Tests.Cli;

namespace Coppice.Server.Tests.Cli;

/// <summary>A server and three clients, each a process of its own: killed in the middle and started again, they end with the bytes of the simulation.</summary>
[Collection(CommandLine.Collection)]
public sealed class FourProcessesTests : IDisposable
{
    static readonly string[] Training = ["--rounds", "3", "--local-steps", "2", "--batch", "2", "--context", "16", "--rate", "0.01"];

    readonly TinyFolder tiny = new();
    readonly List<(Process Process, Task<string> Errors)> started = [];

    public void Dispose()
    {
        foreach ((Process process, _) in started)
        {
            if (!process.HasExited)
                process.Kill();
            process.Dispose();
        }
        tiny.Dispose();
    }

    [Fact]
    public async Task A_server_and_a_client_that_are_killed_go_on_to_the_bytes_of_the_simulation()
    {
        string[] names = Texts(), address = ["--listen", $"127.0.0.1:{FreePort()}"];
        string run = tiny["run"];
        Assert.Equal(0, CommandLine.Run(["federate", "init", run, "--host", "localhost", "--client", .. names]).Code);
        Assert.Equal(0, CommandLine.Run(["federate", "simulate", tiny.Model, "--clients", tiny["texts"], .. Training, "-o", tiny["simulated"]]).Code);

        string[] serve = ["federate", "serve", tiny.Model, "--run", run, .. address, .. Training, "-o", tiny["served"]];
        string[][] joins = [.. names.Select(name => (string[])["federate", "join", $"https://localhost:{address[1].Split(':')[1]}", "--certificate", Path.Combine(run, "clients", name + ".pem"),
            "--text", Path.Combine(tiny["texts"], name), "--state", tiny[name + ".state"]])];
        int server = Start(serve), victim = Start(joins[0]);
        await Reached(run, store => store.Rounds(store.FindRun()!.Id).Count > 1 || store.Answers(store.Rounds(1)[0].Id).Any(answer => answer.Update is not null));
        Kill(victim);
        int[] others = [Start(joins[1]), Start(joins[2])];
        await Reached(run, store => store.Answers(store.Rounds(1)[0].Id).Count(answer => answer.Update is not null) >= 2);
        Kill(server);

        int[] last = [Start(serve), Start(joins[0]), .. others];
        foreach (int index in last)
        {
            await started[index].Process.WaitForExitAsync(new CancellationTokenSource(TimeSpan.FromMinutes(3)).Token);
            Assert.True(started[index].Process.ExitCode == 0, await started[index].Errors);
        }
        Assert.Equal(TinyFolder.Bytes(tiny["simulated"]), TinyFolder.Bytes(tiny["served"]));

        Outcome status = CommandLine.Run("federate", "status", run);
        Assert.Equal(0, status.Code);
        Assert.Contains("run done", status.Out, StringComparison.Ordinal);
        Assert.Equal(3, CommandLine.Json("federate", "status", run).GetProperty("rounds").GetArrayLength());
    }

    // Three texts; names as the simulation gives them, so that draws and seeds are the same.
    string[] Texts()
    {
        Directory.CreateDirectory(tiny["texts"]);
        string[] lines = File.ReadAllLines(tiny.Text), names = ["client0.txt", "client1.txt", "client2.txt"];
        for (int i = 0; i < names.Length; i++)
            File.WriteAllLines(Path.Combine(tiny["texts"], names[i]), lines.Where((_, line) => line % 3 == i));
        return names;
    }

    int Start(string[] command)
    {
        Process process = CommandLine.Start(command);
        // Read at once, so that no process waits for its output to be taken.
        _ = process.StandardOutput.ReadToEndAsync();
        started.Add((process, process.StandardError.ReadToEndAsync()));
        return started.Count - 1;
    }

    void Kill(int index)
    {
        started[index].Process.Kill();
        started[index].Process.WaitForExit();
    }

    // Looks into the run's own store, as status does, until it has come so far.
    async Task Reached(string run, Func<IRunStore, bool> there)
    {
        using SqliteRunStore store = new(Path.Combine(run, SqliteRunStore.FileName));
        Stopwatch watch = Stopwatch.StartNew();
        while (store.FindRun() is null || !there(store))
        {
            foreach ((Process process, Task<string> errors) in started.Where(part => part.Process.HasExited && part.Process.ExitCode is not (0 or 137)))
                Assert.Fail($"exit code {process.ExitCode}: {await errors}");
            Assert.True(watch.Elapsed < TimeSpan.FromMinutes(3), "it does not come so far");
            await Task.Delay(5);
        }
    }

    static string FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
    }
}
