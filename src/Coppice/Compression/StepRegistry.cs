using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Compression.Structured;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Compression;

/// <summary>Every step by its key in YAML: one row a method.</summary>
internal static class StepRegistry
{
    static readonly Dictionary<string, Func<OptionReader, Step>> Rows = new(StringComparer.Ordinal)
    {
        ["magnitude"] = options => Prune(options, new Magnitude
        {
            Scope = options.Choice("scope", PruneScope.Tensor, ("tensor", PruneScope.Tensor), ("row", PruneScope.Row)),
        }),
        ["wanda"] = options => Prune(options, new Wanda()),
        ["sparseGpt"] = options => Prune(options, new SparseGpt { Dampening = options.Between("dampening", 0.01, 0, 1) }),
        ["gradient"] = options => Prepared(options, new Gradient()),
        ["taylor"] = options => Prepared(options, new Taylor()),
        ["snip"] = options => Prepared(options, new Snip { Tokens = options.Int("tokens", 2048, 2, 1 << 30) }),
        ["multiTask"] = options => Prepared(options, new MultiTask
        {
            Score = options.Choice("score", TaskScore.Wanda, ("wanda", TaskScore.Wanda), ("gradient", TaskScore.Gradient), ("taylor", TaskScore.Taylor)),
            Combine = options.Choice("combine", TaskCombination.Mean, ("mean", TaskCombination.Mean), ("minimum", TaskCombination.Minimum), ("maximum", TaskCombination.Maximum)),
        }),
        ["stability"] = options => Prepared(options, new Stability { Checkpoints = options.Names("checkpoints") is { Length: > 1 } paths ? paths : throw options.Wrong("checkpoints", "a list of at least two models") }),
        ["random"] = options => Prune(options, new RandomPruning()),
        ["roundToNearest"] = options => Quantize(options, new RoundToNearest()),
        ["gptq"] = options => Quantize(options, new Gptq
        {
            Order = options.Choice("order", ColumnOrder.ActOrder, ("actOrder", ColumnOrder.ActOrder), ("natural", ColumnOrder.Natural), ("staticGroups", ColumnOrder.StaticGroups)),
            Dampening = options.Between("dampening", 0.01, 0, 1),
            Sweeps = options.Int("sweeps", 1, 0, 100),
        }),
        ["hqq"] = options => new Hqq
        {
            Bits = options.Int("bits", 4, 2, 8),
            GroupSize = GroupSize(options, 64) is var size and not Grid.WholeMatrix ? size : throw options.Wrong("groupSize", $"{IntWeight.WholeRow} for whole rows, or 1 and more"),
            Norm = options.Between("norm", 0.7, 0, 1),
            Rounds = options.Int("rounds", 20, 1, 1000),
        },
        ["haar"] = options => ReadHaar(options),
        ["awq"] = options => new Awq { Rounding = (RoundToNearest)Quantize(options, new Awq().Rounding) },
        ["smoothQuant"] = options => new SmoothQuant { Alpha = options.Between("alpha", 0.5, 0, 1) },
        ["cast"] = options => new Cast { Type = options.Choice("type", CastType.Float16, ("f16", CastType.Float16), ("bf16", CastType.BFloat16), ("int16", CastType.Int16)) },
        ["rotate"] = Rotate.Read,
        ["dropLayers"] = DropLayers.Read,
        ["pruneHeads"] = PruneHeads.Read,
        ["pruneNeurons"] = PruneNeurons.Read,
        ["surgeonNeurons"] = SurgeonNeurons.Read,
        ["mergeNeurons"] = MergeNeurons.Read,
        ["graphPruning"] = GraphPruning.Read,
        ["pruneChannels"] = PruneChannels.Read,
        ["fineTune"] = FineTune.Read,
        ["qat"] = Qat.Read,
        ["mergeChannels"] = MergeChannels.Read,
        ["ggufBlock"] = options => new GgufBlock
        {
            Type = options.Choice("type", BlockFormat.Of<Q8_0>(), Blocks),
            Otherwise = options.Choice("otherwise", null, [("none", null), .. Blocks]),
            Rounding = options.Choice("rounding", BlockRounding.Nearest, ("nearest", BlockRounding.Nearest), ("weighted", BlockRounding.Weighted), ("gptq", BlockRounding.Gptq)),
            Dampening = options.Between("dampening", 0.01, 0, 1),
            Sweeps = options.Int("sweeps", 4, 0, 100),
        },
    };

    static (string, BlockFormat)[] Blocks => [.. BlockFormat.All.Select(format => (format.Name, format))];

    /// <summary>All keys.</summary>
    public static IReadOnlyCollection<string> Keys => Rows.Keys;

    /// <summary>The step with its options, or null where the key is unknown.</summary>
    public static Step? Create(string key, OptionReader options)
    {
        if (!Rows.TryGetValue(key, out Func<OptionReader, Step>? factory))
            return null;
        Step step = factory(options) with { Targets = options.Targets("targets"), Ignore = options.Targets("ignore") };
        if (step is WeightStep weightStep)
            step = weightStep with { Overrides = [.. options.Overrides("overrides").Select(change => new StepOverride(change.Targets("targets"), Override(change, factory)))] };
        foreach (string name in step is ModelStep { TakesTargets: false } ? ["targets", "ignore"] : Array.Empty<string>())
            if (options.Has(name))
                throw options.Wrong(name, "nothing: this step is about the whole model");
        options.Finish();
        return step;
    }

    static WeightStep Override(OptionReader options, Func<OptionReader, Step> factory)
    {
        Step step = factory(options);
        options.Finish();
        return (WeightStep)step;
    }

    static PruneStep Prune(OptionReader options, PruneStep step)
    {
        SparsityPattern? pattern = options.Pattern("pattern");
        double sparsity = options.Between("sparsity", pattern?.Sparsity ?? step.Sparsity, 0, 1);
        if (pattern is { } p && Math.Abs(sparsity - p.Sparsity) > 1e-6)
            throw options.Wrong("sparsity", $"nothing beside pattern {p}, or its {p.Sparsity:0.####}");
        if (pattern is not null && step is Magnitude or PreparedPruneStep && options.Has("scope"))
            throw options.Wrong("scope", "nothing beside a pattern, which looks within its own groups");
        SparsityAllocation allocation = options.Choice("allocation", SparsityAllocation.Uniform, ("uniform", SparsityAllocation.Uniform), ("global", SparsityAllocation.Global), ("owl", SparsityAllocation.Owl),
            ("sensitivity", SparsityAllocation.Sensitivity), ("kl", SparsityAllocation.Kl));
        if (pattern is not null && allocation != SparsityAllocation.Uniform)
            throw options.Wrong("allocation", "nothing beside a pattern, which takes the same share everywhere");
        return step with { Sparsity = sparsity, Pattern = pattern, Allocation = allocation };
    }

    static PruneStep Prepared(OptionReader options, PreparedPruneStep step) =>
        Prune(options, step with { Scope = options.Choice("scope", step.Scope, ("tensor", PruneScope.Tensor), ("row", PruneScope.Row)) });

    static QuantizeStep Quantize(OptionReader options, QuantizeStep step)
    {
        GridLevels levels = options.Choice("grid", step.Levels, GridLevelsNames.All);
        int groupSize = GroupSize(options, levels == GridLevels.MxFp4 ? MxGroup : step.GroupSize), bits = options.Int("bits", levels.Bits() ?? step.Bits, levels == GridLevels.Binary ? 1 : 2, 8);
        if (levels.Bits() is { } own && bits != own)
            throw options.Wrong("bits", $"nothing beside grid {levels.Name()}, or its {own}");
        if (levels == GridLevels.MxFp4 && groupSize != MxGroup)
            throw options.Wrong("groupSize", $"nothing beside grid {levels.Name()}, or its {MxGroup}");
        bool symmetric = options.Choice("symmetric", levels != GridLevels.Int || step.Symmetric, ("true", true), ("false", false));
        if (levels != GridLevels.Int && !symmetric)
            throw options.Wrong("symmetric", $"true: grid {levels.Name()} has no zero points");
        return step with
        {
            Levels = levels,
            Bits = bits,
            GroupSize = groupSize,
            Symmetric = symmetric,
            Range = options.Choice("range", step.Range, ("absMax", RangeFit.AbsMax), ("squaredError", RangeFit.SquaredError), ("percentile", RangeFit.Percentile), ("kl", RangeFit.Kl)),
            Percentile = options.Between("percentile", step.Percentile, 50, 100),
        };
    }

    static HaarRounding ReadHaar(OptionReader options)
    {
        HaarRounding step = (HaarRounding)Quantize(options, new HaarRounding { Length = options.Int("length", 32, 2, 1 << 20) });
        return step.Levels != GridLevels.Int ? throw options.Wrong("grid", "int: coefficients are rounded to whole numbers")
            : Haar.Fits(step.Length) ? step : throw options.Wrong("length", "a power of two");
    }

    // OCP's microscaling formats have groups of 32.
    const int MxGroup = 32;

    static int GroupSize(OptionReader options, int fallback)
    {
        int groupSize = options.IntOr("groupSize", fallback, IntWeight.WholeRow, 1 << 20, ("tensor", Grid.WholeMatrix));
        return groupSize != 0 ? groupSize : throw options.Wrong("groupSize", $"{IntWeight.WholeRow} for whole rows, tensor for the whole matrix, or 1 and more");
    }
}
