using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Coppice.Server.Store;
using Coppice.Tests.Cli;

namespace Coppice.Server.Tests.Cli;

/// <summary>Processes of the coppice command that a test starts, kills and waits for.</summary>
sealed class Processes : IDisposable
{
    static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    readonly List<(Process Process, Task<string> Errors)> started = [];

    public int Start(string[] command, params (string Name, string Value)[] environment)
    {
        Process process = CommandLine.Start(command, environment);
        // Read at once, so that no process waits for its output to be taken.
        _ = process.StandardOutput.ReadToEndAsync();
        started.Add((process, process.StandardError.ReadToEndAsync()));
        return started.Count - 1;
    }

    public void Kill(int index)
    {
        started[index].Process.Kill();
        started[index].Process.WaitForExit();
    }

    /// <summary>Waits until processes are done, and asserts that they did what they were to do.</summary>
    public async Task Done(params int[] indices)
    {
        using CancellationTokenSource limit = new(Limit);
        foreach (int index in indices)
        {
            await started[index].Process.WaitForExitAsync(limit.Token);
            Assert.True(started[index].Process.ExitCode == 0, await started[index].Errors);
        }
    }

    /// <summary>Looks into the run's own store, as status does, until it has come so far.</summary>
    public Task Reached(IRunStore store, Func<IRunStore, bool> there) => Reached(() => store.FindRun() is not null && there(store));

    /// <summary>Waits until a run has come so far.</summary>
    public async Task Reached(Func<bool> there)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!there())
        {
            foreach ((Process process, Task<string> errors) in started.Where(part => part.Process.HasExited && part.Process.ExitCode is not (0 or 137)))
                Assert.Fail($"exit code {process.ExitCode}: {await errors}");
            Assert.True(watch.Elapsed < Limit, "it does not come so far");
            await Task.Delay(5);
        }
    }

    /// <summary>How many updates of a round are in.</summary>
    public static int Committed(IRunStore store, int round) => store.Rounds(store.FindRun()!.Id) is var rounds && rounds.Count >= round ? store.Answers(rounds[round - 1].Id).Count(answer => answer.Update is not null) : 0;

    public static string FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>A folder with three texts, a third of a text's lines each; names as the simulation gives them, so that draws and seeds are the same.</summary>
    public static string[] Texts(TinyFolder tiny)
    {
        Directory.CreateDirectory(tiny["texts"]);
        string[] lines = File.ReadAllLines(tiny.Text), names = ["client0.txt", "client1.txt", "client2.txt"];
        for (int i = 0; i < names.Length; i++)
            File.WriteAllLines(Path.Combine(tiny["texts"], names[i]), lines.Where((_, line) => line % 3 == i));
        return names;
    }

    public void Dispose()
    {
        foreach ((Process process, _) in started)
        {
            if (!process.HasExited)
                process.Kill();
            process.Dispose();
        }
    }
}
