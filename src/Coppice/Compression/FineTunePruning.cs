using System.Globalization;
using Coppice.Training.Sparse;

namespace Coppice.Compression;

/// <summary>The options of <see cref="FineTune"/> about pruning while it trains: those of <c>coppice train</c>, in lower camel case.</summary>
static class FineTunePruning
{
    public static SparseTraining? Read(OptionReader options)
    {
        SparseTraining? method = options.Choice("prune", null, [("none", null), .. SparseTraining.Named.Select(named => (named.Name, (SparseTraining?)named.Method))]);
        foreach ((string name, bool fits, string of) in new[]
        {
            ("sparsity", method is not null, "prune"), ("pruneTargets", method is not null, "prune"), ("pruneEvery", method is not null, "prune"), ("pruneEnd", method is not null, "prune"),
            ("strength", method is Proximal, "prune: l1, rows or columns"), ("exchange", method is RigL, "prune: rigl"), ("rounds", method is IterativePruning, "prune: rounds"), ("rewind", method is IterativePruning, "prune: rounds"),
        })
            if (options.Has(name) && !fits)
                throw options.Wrong(name, $"nothing without {of}");
        return method switch
        {
            RigL rigl => rigl with { Fraction = options.Between("exchange", rigl.Fraction, -1e-9, 1) },
            Proximal penalty => penalty with { Strength = options.Between("strength", penalty.Strength, 0, double.PositiveInfinity) },
            IterativePruning rounds => rounds with { Rounds = options.Int("rounds", rounds.Rounds, 1, 1000), Rewind = options.Has("rewind") ? options.Int("rewind", 0, 0, int.MaxValue) : null },
            _ => method,
        } is { } chosen ? chosen with
        {
            Sparsity = options.Between("sparsity", chosen.Sparsity, 0, 1),
            Every = options.Int("pruneEvery", chosen.Every, 1, int.MaxValue),
            End = Math.Clamp(options.Between("pruneEnd", chosen.End, -1e-9, 1 + 1e-9), 0, 1),
            Targets = options.Targets("pruneTargets"),
        } : null;
    }

    public static IEnumerable<(string Name, string Value)> Options(SparseTraining? method)
    {
        if (method is null)
            return [];
        List<(string, string)> options = [("prune", method.Name), ("sparsity", Number(method.Sparsity)), ("pruneEvery", Number(method.Every)), ("pruneEnd", Number(method.End))];
        if (!method.Targets.IsEmpty)
            options.Add(("pruneTargets", Recipe.List(method.Targets)));
        if (method is Proximal penalty)
            options.Add(("strength", Number(penalty.Strength)));
        if (method is RigL rigl)
            options.Add(("exchange", Number(rigl.Fraction)));
        if (method is IterativePruning rounds)
            options.Add(("rounds", Number(rounds.Rounds)));
        if (method is IterativePruning { Rewind: { } rewind })
            options.Add(("rewind", Number(rewind)));
        return options;
    }

    static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
