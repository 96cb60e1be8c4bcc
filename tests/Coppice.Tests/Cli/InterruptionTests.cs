using System.Diagnostics;

namespace Coppice.Tests.Cli;

/// <summary>Processes that are killed at random moments, and started again until they end, write the bytes of an undisturbed run.</summary>
[Collection(CommandLine.Collection)]
public sealed class InterruptionTests : IDisposable
{
    readonly TinyFolder tiny = new(layers: 6);

    public void Dispose() => tiny.Dispose();

    [Fact]
    public void A_compression_that_is_killed_goes_on_to_the_same_bytes()
    {
        string[] Command(string output) => ["compress", tiny.Model, "--to", "2:4-int4", "--calibrate", tiny.Text, "--documents", "line", "-o", tiny[output]];
        Assert.Equal(0, CommandLine.Run(Command("whole")).Code);
        string part = Path.Combine(tiny["killed.journal"], "part-0000");
        int kills = KillUntilDone(Command("killed"), ["0", "1", "3"], parts => File.Exists($"{part}{parts}.safetensors"));
        Assert.True(kills > 0, "no process was killed in the middle");
        Assert.Equal(TinyFolder.Bytes(tiny["whole"]), TinyFolder.Bytes(tiny["killed"]));
        Assert.Equal(["killed", "whole"], tiny.Others.Order());
    }

    [Fact]
    public void A_training_that_is_killed_goes_on_to_the_same_bytes()
    {
        string[] Command(string output) =>
        [
            "train", tiny.Model, "--data", tiny.Text, "--documents", "line", "--steps", "60", "--batch", "4", "--context", "32", "--warmup", "5", "--checkpoint-every", "7", "-o", tiny[output],
        ];
        Assert.Equal(0, CommandLine.Run(Command("whole")).Code);
        string log = tiny["killed.training.jsonl"], checkpoint = tiny["killed.checkpoint.safetensors"];
        int kills = KillUntilDone(Command("killed"), ["8", "20", "33"], lines =>
            File.Exists(checkpoint) && File.Exists(log) && File.ReadLines(log).Any(line => line.StartsWith($"{{\"step\": {lines},", StringComparison.Ordinal)));
        Assert.True(kills > 0, "no process was killed in the middle");
        Assert.Equal(TinyFolder.Bytes(tiny["whole"]), TinyFolder.Bytes(tiny["killed"]));
        Assert.Equal(["killed", "whole"], tiny.Others.Order());
    }

    [Fact]
    public void Ctrl_C_is_exit_code_130_and_a_line_that_says_how_to_go_on()
    {
        if (OperatingSystem.IsWindows())
            return; // has no signal to send to another process
        using TinyFolder many = new(layers: 60);
        string[] command = ["compress", many.Model, "--to", "2:4-int4", "--calibrate", many.Text, "--documents", "line", "-o", many["out"], "--quiet"];
        using Process process = CommandLine.Start(command);
        while (!process.HasExited && !Directory.Exists(many["out.journal"]))
            Thread.Sleep(1);
        using (Process signal = Process.Start("kill", ["-INT", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]))
            signal.WaitForExit();
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.Equal((130, "coppice: interrupted; the same command goes on after the last finished block\n"), (process.ExitCode, errors));
        Assert.DoesNotContain("out", many.Others);
        Assert.Equal(0, CommandLine.Run(command).Code);
        Assert.Equal(["out"], many.Others);
    }

    // Each time the process is killed as soon as it got so far, and then up to 20 ms later, wherever that is.
    static int KillUntilDone(string[] command, string[] stages, Func<string, bool> reached)
    {
        Random random = new(11);
        int kills = 0;
        foreach (string stage in stages)
        {
            using Process process = CommandLine.Start(command);
            while (!process.HasExited && !reached(stage))
                Thread.Sleep(1);
            Thread.Sleep(random.Next(20));
            if (process.HasExited)
                return kills;
            process.Kill();
            process.WaitForExit();
            kills += process.ExitCode == 0 ? 0 : 1;
        }
        Outcome last = CommandLine.RunProcess(command);
        Assert.True(last.Code == 0, last.Error);
        return kills;
    }
}
