using System.Diagnostics;
using System.Text.Json;
using Coppice.Cli;

namespace Coppice.Tests.Cli;

/// <summary>What a command line gave back.</summary>
sealed record Outcome(int Code, string Out, string Error)
{
    /// <summary>stdout as the one document of --json.</summary>
    public JsonElement Json => JsonDocument.Parse(Out).RootElement;

    /// <summary>Asserts that the command failed with exactly one line on stderr, nothing on stdout, and returns the line.</summary>
    public string FailsInOneLine(int code)
    {
        Assert.Equal("", Out);
        string line = Assert.Single(Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("coppice: ", line, StringComparison.Ordinal);
        Assert.DoesNotContain("a fault in Coppice", line, StringComparison.Ordinal);
        Assert.Equal(code, Code);
        return line;
    }
}

/// <summary>Runs the coppice command, in this process or in one of its own. Tests that do so are in one collection, as a process has one console.</summary>
static class CommandLine
{
    public const string Collection = "command line";

    public static Outcome Run(params string[] args)
    {
        (TextWriter before, TextWriter errorsBefore) = (Console.Out, Console.Error);
        using StringWriter output = new(), errors = new();
        try
        {
            Console.SetOut(output);
            Console.SetError(errors);
            int code = Invocation.Run(args).GetAwaiter().GetResult();
            return new Outcome(code, output.ToString(), errors.ToString());
        }
        finally
        {
            Console.SetOut(before);
            Console.SetError(errorsBefore);
        }
    }

    /// <summary>Asserts success and returns the document of --json.</summary>
    public static JsonElement Json(params string[] args)
    {
        Outcome outcome = Run([.. args, "--json", "--quiet"]);
        Assert.Equal((0, ""), (outcome.Code, outcome.Error));
        return outcome.Json;
    }

    /// <summary>Starts a process of its own; its output is read by nobody unless the caller does.</summary>
    public static Process Start(string[] args, params (string Name, string Value)[] environment)
    {
        ProcessStartInfo start = new("dotnet", [typeof(Invocation).Assembly.Location, .. args]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string name, string value) in environment)
            start.Environment[name] = value;
        return Process.Start(start)!;
    }

    public static Outcome RunProcess(string[] args, params (string Name, string Value)[] environment)
    {
        using Process process = Start(args, environment);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Outcome(process.ExitCode, output, errors.Result);
    }
}
