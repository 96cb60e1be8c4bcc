using System.Diagnostics;
using System.Globalization;
using Coppice.Tensors;
using Coppice.Tests.Formats;

namespace Coppice.Bench.Fuzz;

/// <summary>Damages good files for a while and reads them. A reader may succeed or say in one <see cref="CoppiceException"/> of one line why not; anything else is printed with the seed that repeats it.</summary>
static class FuzzLoop
{
    // A file here has some thousands of bytes: more than this for reading one is a count that was believed.
    const long MostBytes = 64 << 20;

    static readonly TimeSpan Longest = TimeSpan.FromSeconds(5);

    /// <summary>fuzz SECONDS [SEED].</summary>
    /// <returns>How many runs failed.</returns>
    public static int Run(string[] arguments)
    {
        if (arguments.Length is 0 or > 2 || !double.TryParse(arguments[0], CultureInfo.InvariantCulture, out double seconds) || !int.TryParse(arguments.ElementAtOrDefault(1) ?? "1", out int seed))
        {
            Console.Error.WriteLine("usage: fuzz SECONDS [SEED]");
            return 2;
        }
        using TemporaryFolder folder = new();
        IReadOnlyList<FuzzTarget> targets = FuzzTarget.All(folder);
        foreach (FuzzTarget target in targets)
            target.Read();
        long start = Stopwatch.GetTimestamp(), runs = 0, refused = 0;
        int failures = 0;
        do
        {
            // A run depends on its own seed alone: "fuzz 0 SEED" repeats it.
            Random random = new(seed);
            FuzzTarget target = targets[random.Next(targets.Count)];
            File.WriteAllBytes(target.Path, Damage.Of(target.Good, random));
            switch (Try(target))
            {
                case "": break;
                case null: refused++; break;
                case string failure:
                    Console.WriteLine($"seed {seed}, {target.Name}: {failure}");
                    failures++;
                    break;
            }
            File.WriteAllBytes(target.Path, target.Good);
            (runs, seed) = (runs + 1, seed + 1);
        }
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{runs:N0} runs over {targets.Count} files, {runs / Stopwatch.GetElapsedTime(start).TotalSeconds:N0} a second; {100.0 * refused / runs:0} % refused, {failures} failed"));
        return failures == 0 ? 0 : 1;
    }

    // Nothing where the file was read, null where it was refused, else what went wrong.
    static string? Try(FuzzTarget target)
    {
        long start = Stopwatch.GetTimestamp(), before = GC.GetTotalAllocatedBytes();
        string? result = "";
        try
        {
            target.Read();
        }
        catch (CoppiceException error)
        {
            result = error.Message.Contains('\n', StringComparison.Ordinal) ? $"a message of several lines: {error.Message}" : null;
        }
#pragma warning disable CA1031 // Whatever is thrown is what is looked for.
        catch (Exception error)
#pragma warning restore CA1031
        {
            return error.ToString();
        }
        long bytes = GC.GetTotalAllocatedBytes() - before;
        TimeSpan time = Stopwatch.GetElapsedTime(start);
        return bytes > MostBytes ? $"allocated {bytes:N0} bytes" : time > Longest ? $"took {time}" : result;
    }
}
