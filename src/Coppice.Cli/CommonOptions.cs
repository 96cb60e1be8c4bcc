using System.CommandLine;

namespace Coppice.Cli;

/// <summary>What every command takes.</summary>
static class CommonOptions
{
    public static readonly Option<bool> Json = new("--json") { Description = "One JSON document on stdout and nothing else there", Recursive = true };
    public static readonly Option<int?> Threads = Options.OptionalInteger("--threads", "Threads to compute with; all cores by default", most: 1024);
    public static readonly Option<int> Seed = Options.Integer("--seed", "Seeds everything random", value: 1);
    public static readonly Option<bool> Verbose = new("--verbose") { Description = "Show the trace of a failure", Recursive = true };
    public static readonly Option<bool> Quiet = new("--quiet") { Description = "No progress, only results", Recursive = true };

    static CommonOptions() => (Threads.Recursive, Seed.Recursive) = (true, true);

    public static IEnumerable<Option> All => [Json, Threads, Seed, Verbose, Quiet];
}
