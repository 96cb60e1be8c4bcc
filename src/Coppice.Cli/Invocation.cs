using System.CommandLine;
using System.CommandLine.Parsing;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Cli;

/// <summary>Runs a command line: one line on stderr for a failure, an exit code that a script can rely on.</summary>
static class Invocation
{
    /// <summary>The environment variable that forces a vector width, for measurements and for tests.</summary>
    const string SimdVariable = "COPPICE_SIMD";

    public static async Task<int> Run(params string[] args)
    {
        ParseResult parsed = Commands.For(args).Parse(args.Length == 0 ? ["--help"] : args);
        if (parsed.Errors.Count > 0 && parsed.UnmatchedTokens is [var word, ..] && parsed.CommandResult.Command.Subcommands is { Count: > 0 } commands)
            return Fail(ExitCode.Misuse, $"'{word}' is no command of {string.Join(' ', Names(parsed.CommandResult).Prepend("coppice"))}; the nearest is '{NearestName.Of(word, commands.Select(command => command.Name))}'");
        if (parsed.Errors.Count > 0)
            return Fail(ExitCode.Misuse, $"{parsed.Errors[0].Message} ({string.Join(' ', Names(parsed.CommandResult).Prepend("coppice"))} --help tells more)");
        using CancellationTokenSource interrupt = new();
        void OnCtrlC(object? sender, ConsoleCancelEventArgs press)
        {
            // The first Ctrl-C stops at the next safe place; a second one ends the process.
            press.Cancel = !interrupt.IsCancellationRequested;
            interrupt.Cancel();
        }
        Console.CancelKeyPress += OnCtrlC;
        try
        {
            using IDisposable? simd = ForcedSimd(Environment.GetEnvironmentVariable(SimdVariable));
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, interrupt.Token);
        }
        catch (OperationCanceledException error) when (interrupt.IsCancellationRequested)
        {
            return Fail(ExitCode.Interrupted, error is InterruptedException ? error.Message : "interrupted");
        }
        catch (Exception error) when (parsed.GetValue(CommonOptions.Verbose))
        {
            Console.Error.WriteLine($"coppice: {error}");
            return CodeOf(error);
        }
        catch (Exception error)
        {
            return Fail(CodeOf(error), IsForTheUser(error) ? error.Message : $"a fault in Coppice itself: {error.GetType().Name}: {error.Message} (--verbose shows the trace)");
        }
        finally
        {
            Console.CancelKeyPress -= OnCtrlC;
        }
    }

    static int Fail(int code, string message)
    {
        Console.Error.WriteLine($"coppice: {message.ReplaceLineEndings(" ")}");
        return code;
    }

    static int CodeOf(Exception error) => error switch
    {
        GateMissedException => ExitCode.GateMissed,
        MisuseException => ExitCode.Misuse,
        _ => ExitCode.Failed,
    };

    // What files, text and options cause; anything else is a fault of ours.
    static bool IsForTheUser(Exception error) =>
        error is CoppiceException or IOException or UnauthorizedAccessException or InvalidDataException;

    static IDisposable? ForcedSimd(string? level)
    {
        if (string.IsNullOrEmpty(level))
            return null;
        if (!Enum.GetNames<SimdLevel>().Contains(level, StringComparer.OrdinalIgnoreCase))
            throw new MisuseException($"{SimdVariable} is '{level}', wanted {string.Join(", ", Enum.GetNames<SimdLevel>()).ToLowerInvariant()}");
        SimdLevel chosen = Enum.Parse<SimdLevel>(level, ignoreCase: true);
        return chosen.IsSupported ? SimdLevel.Select(chosen) : throw new MisuseException($"{SimdVariable} is '{level}', this processor has {SimdLevel.Active} at most");
    }

    static IEnumerable<string> Names(CommandResult command) =>
        command.Parent is CommandResult parent ? Names(parent).Append(command.Command.Name) : [];
}
