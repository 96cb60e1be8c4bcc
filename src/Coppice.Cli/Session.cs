using System.CommandLine;
using System.Text;
using System.Text.Json;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Spectre.Console;

namespace Coppice.Cli;

/// <summary>What a running command has at hand: threads, a seed, and where its words go. With --json, stdout carries one document and all else goes to stderr.</summary>
sealed class Session : IDisposable
{
    readonly bool json, quiet;
    // Spectre looks at the terminal and the environment; most commands never draw.
    readonly Lazy<IAnsiConsole> errors = new(() => AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) }));
    readonly Lazy<WorkerPool> pool;

    public Session(ParseResult parsed)
    {
        json = parsed.GetValue(CommonOptions.Json);
        quiet = parsed.GetValue(CommonOptions.Quiet);
        Seed = parsed.GetValue(CommonOptions.Seed);
        int threads = parsed.GetValue(CommonOptions.Threads) ?? Environment.ProcessorCount;
        pool = new(() => new WorkerPool(threads));
        KernelSelfTest.Narrowed += Warn;
    }

    public WorkerPool Pool => pool.Value;

    public int Seed { get; }

    /// <summary>Whether stdout belongs to a JSON document.</summary>
    public bool IsJson => json;

    /// <summary>A line on the way to the result; --quiet drops it.</summary>
    public void Say(string line)
    {
        if (quiet)
            return;
        if (Draws)
            errors.Value.WriteLine(line);
        else
            Console.Error.WriteLine(line);
    }

    /// <summary>A line of the result, for a person; never folded. With --json and --quiet nobody is there to read it.</summary>
    public void Line(string line = "")
    {
        if (!(json && quiet))
            (json ? Console.Error : Console.Out).WriteLine(line);
    }

    /// <summary>A table for a person; the first column is left-aligned, the others right.</summary>
    public void Table(IReadOnlyList<string> heads, IEnumerable<IReadOnlyList<string>> rows)
    {
        List<IReadOnlyList<string>> lines = [heads, .. rows];
        int[] widths = [.. heads.Select((_, column) => lines.Max(line => line[column].Length))];
        lines.Insert(1, [.. widths.Select(width => new string('-', width))]);
        foreach (IReadOnlyList<string> line in lines)
            Line(string.Join("  ", line.Select((cell, column) => column == 0 ? cell.PadRight(widths[column]) : cell.PadLeft(widths[column]))).TrimEnd());
        Line();
    }

    /// <summary>Names and what they stand for, one a line.</summary>
    public void Facts(IReadOnlyList<(string Name, string Value)> facts)
    {
        int width = facts.Max(fact => fact.Name.Length);
        foreach ((string name, string value) in facts)
            Line($"{name.PadRight(width)}  {value}");
    }

    /// <summary>Does long work, showing how far it is: a bar with the time left on a terminal, plain lines now and then otherwise.</summary>
    public T Track<T>(string title, Func<IProgress<Tick>, T> work)
    {
        if (quiet)
            return work(new Told<Tick>(_ => { }));
        TimeLeft left = new();
        if (!Draws)
            return work(new ProgressLines(title, left));
        return errors.Value.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn())
            .Start(context =>
            {
                ProgressTask task = context.AddTask(Markup.Escape(title));
                return work(new Told<Tick>(tick =>
                {
                    task.Value = 100 * tick.Share;
                    task.Description = Markup.Escape($"{title}  {tick.Note}  {left.After(tick.Share)}");
                }));
            });
    }

    /// <summary>The document of --json.</summary>
    public void Document(Action<Utf8JsonWriter> write)
    {
        if (!json)
            return;
        using MemoryStream document = new();
        using (Utf8JsonWriter writer = new(document, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }
        Console.Out.Write(Encoding.UTF8.GetString(document.ToArray()) + "\n");
    }

    public void Dispose()
    {
        KernelSelfTest.Narrowed -= Warn;
        if (pool.IsValueCreated)
            pool.Value.Dispose();
    }

    bool Draws => !Console.IsErrorRedirected && errors.Value.Profile.Out.IsTerminal;

    void Warn(string message) => Say($"warning: {message}");
}
