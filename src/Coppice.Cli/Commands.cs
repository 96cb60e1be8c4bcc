using System.CommandLine;
using Coppice.Cli.Quickstart;

namespace Coppice.Cli;

/// <summary>Every command, in the order in which help lists them.</summary>
static class Commands
{
    static readonly (string Name, Func<Command> Create)[] All =
    [
        ("quickstart", QuickstartCommand.Create),
        ("inspect", InspectCommand.Create),
        ("plan", PlanCommand.Create),
        ("compress", CompressCommand.Create),
        ("convert", ConvertCommand.Create),
        ("imatrix", ImatrixCommand.Create),
        ("eval", EvalCommand.Create),
        ("explain", ExplainCommand.Create),
        ("run", RunCommand.Create),
        ("translate", TranslateCommand.Create),
        ("bench", Bench.BenchCommand.Create),
        ("train", TrainCommand.Create),
        ("federate", FederateCommand.Create),
    ];

    /// <summary>What reads a command line: the command that it begins with, since options of the others would take a third of the start to make, or, where it begins otherwise, all of them.</summary>
    public static RootCommand For(IReadOnlyList<string> args)
    {
        RootCommand root = new("Coppice makes language models small and shows what that cost.");
        bool named = args.Count > 0 && Array.Exists(All, command => command.Name == args[0]);
        foreach ((string name, Func<Command> create) in All)
            if (!named || name == args[0])
                root.Subcommands.Add(create());
        foreach (Option option in CommonOptions.All)
            root.Options.Add(option);
        return root;
    }
}
