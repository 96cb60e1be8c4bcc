using System.CommandLine;
using Coppice.Cli.Quickstart;

namespace Coppice.Cli;

/// <summary>Every command, in the order in which help lists them.</summary>
static class Commands
{
    public static RootCommand Root { get; } = Create();

    static RootCommand Create()
    {
        RootCommand root = new("Coppice makes language models small and shows what that cost.")
        {
            QuickstartCommand.Create(),
            InspectCommand.Create(),
            PlanCommand.Create(),
            CompressCommand.Create(),
            ConvertCommand.Create(),
            ImatrixCommand.Create(),
            EvalCommand.Create(),
            ExplainCommand.Create(),
            RunCommand.Create(),
            Bench.BenchCommand.Create(),
            TrainCommand.Create(),
            FederateCommand.Create(),
        };
        foreach (Option option in CommonOptions.All)
            root.Options.Add(option);
        return root;
    }
}
