using System.CommandLine;
using Coppice.Training;
using Coppice.Training.Sparse;

namespace Coppice.Cli;

/// <summary>coppice train's options about what is 0 and what becomes so.</summary>
static class TrainPruning
{
    static readonly IterativePruning Defaults = new();

    static readonly Option<string?> Zeros = Options.Choice("--zeros", "Which zeros of MODEL stay 0: those of pruned matrices (the default), all, or none: they train", "pruned", "all", "train");
    static readonly Option<string?> Method = Options.Choice("--prune", "Prune while training, until --sparsity of each matrix is 0: by size, a few at a time; by movement; exchanging small weights for steep ones from the first step on; by a penalty on numbers, rows or columns; in rounds of pruning and training",
        [.. SparseTraining.Named.Select(named => named.Name)]);
    static readonly Option<double> Sparsity = Options.Number("--sparsity", "The share that goes", Defaults.Sparsity);
    static readonly Option<string[]> Targets = new("--prune-targets") { Description = "The matrices that are pruned: globs, re: with a regular expression, kind: with a part of the model; all of the blocks by default", HelpName = "TARGET", AllowMultipleArgumentsPerToken = true };
    static readonly Option<int> Every = Options.Integer("--prune-every", "Steps between changes of what is pruned", Defaults.Every, least: 1);
    static readonly Option<double> End = Options.Number("--prune-end", "The share of the steps after which nothing more goes", Defaults.End);
    static readonly Option<double> Strength = Options.Number("--strength", "Of l1, rows and columns: the penalty", new Proximal().Strength);
    static readonly Option<double> Exchange = Options.Number("--exchange", "Of rigl: the share of what is kept that is exchanged at first", new RigL().Fraction);
    static readonly Option<int> Rounds = Options.Integer("--rounds", "Of rounds: how often is pruned", Defaults.Rounds, least: 1);
    static readonly Option<int?> Rewind = Options.OptionalInteger("--rewind", "Of rounds: the step to whose weights each goes back; without it each goes on from what was trained", least: 0);

    /// <summary>The options.</summary>
    public static IReadOnlyList<Option> All => [Zeros, Method, Sparsity, Targets, Every, End, Strength, Exchange, Rounds, Rewind];

    /// <summary>The method's name.</summary>
    public static string? Name(ParseResult parsed) => parsed.GetValue(Method);

    /// <summary>Which zeros stay.</summary>
    public static ZeroHandling ZerosOf(ParseResult parsed) => parsed.GetValue(Zeros) switch
    {
        "all" => ZeroHandling.KeepAll,
        "train" => ZeroHandling.Train,
        _ => ZeroHandling.KeepPruned,
    };

    /// <summary>How is pruned; null where nothing is.</summary>
    public static SparseTraining? Of(ParseResult parsed)
    {
        SparseTraining? method = SparseTraining.Named.FirstOrDefault(named => named.Name == Name(parsed)).Method switch
        {
            RigL rigl => rigl with { Fraction = parsed.GetValue(Exchange) },
            Proximal penalty => penalty with { Strength = parsed.GetValue(Strength) },
            IterativePruning rounds => rounds with { Rounds = parsed.GetValue(Rounds), Rewind = parsed.GetValue(Rewind) },
            var plain => plain,
        };
        if (method is null && (parsed.GetResult(Sparsity) is { Implicit: false } || parsed.GetValue(Targets) is { Length: > 0 }))
            throw new MisuseException("--sparsity and --prune-targets go with --prune, which is not there");
        return method is null ? null : method with { Sparsity = parsed.GetValue(Sparsity), Every = parsed.GetValue(Every), End = parsed.GetValue(End), Targets = [.. parsed.GetValue(Targets) ?? []] };
    }
}
