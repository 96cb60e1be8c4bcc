using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Structured;

/// <summary>Takes a share of attention's heads out of every layer, each layer's least (Michel et al. 2019; Ma et al. 2023): key-value heads with all their queries, or as many queries of each.</summary>
public sealed record PruneHeads : StructuredStep
{
    /// <inheritdoc/>
    public override string Key => "pruneHeads";

    /// <summary>The share that goes, above 0 and below 1.</summary>
    public double Share { get; init; } = 0.25;

    /// <summary>What tells how much a head matters.</summary>
    public UnitScore Score { get; init; }

    /// <summary>What goes together.</summary>
    public HeadUnit Unit { get; init; }

    /// <inheritdoc/>
    public override bool NeedsCalibration => UnitScores.ReadsText(Score);

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("share", Number(Share)), ("score", UnitScores.NameOf(Score)), ("unit", Unit == HeadUnit.Query ? "query" : "group")];

    internal static PruneHeads Read(OptionReader options) => new()
    {
        Share = options.Between("share", 0.25, 0, 1),
        Score = UnitScores.Read(options),
        Unit = options.Choice("unit", HeadUnit.Group, ("group", HeadUnit.Group), ("query", HeadUnit.Query)),
    };

    /// <inheritdoc/>
    protected override DecoderModel Apply(DecoderModel model, ModelWork work)
    {
        DecoderConfig config = model.Config;
        int group = config.HeadCount / config.KeyValueHeadCount;
        int keep = Unit == HeadUnit.Query ? CountKept("query heads of a group", group, Share) : CountKept("key-value heads", config.KeyValueHeadCount, Share);
        KeptUnits all = KeptUnits.All(model);
        // Before any work: the sizes do not depend on which heads go.
        ShrunkConfig.Of(config, all with { Layers = [.. all.Layers.Select(layer => Kept(layer, new double[config.HeadCount], keep, group))] });
        Moments[] inputs = NeedsCalibration ? Measure(model, work) : [];
        return Shrinking.Apply(model, all with
        {
            Layers = [.. all.Layers.Select(layer =>
            {
                work.Cancel.ThrowIfCancellationRequested();
                double[] scores = ScoresOf(model.Blocks[layer.Layer].Attention, inputs.ElementAtOrDefault(layer.Layer), work.Random);
                KeptLayer left = Kept(layer, scores, keep, group);
                work.Notes.Add(string.Create(CultureInfo.InvariantCulture, $"layer {layer.Layer}: heads {string.Join(", ", layer.Heads.Except(left.Heads))} went, with {100 * Importance.ShareGone(scores, left.Heads):0.00} % of the score"));
                return left;
            })],
        });
    }

    KeptLayer Kept(KeptLayer layer, double[] scores, int keep, int group)
    {
        if (Unit == HeadUnit.Query)
            return layer with { Heads = [.. layer.KeyValueHeads.SelectMany(shared => Importance.Highest(scores.AsSpan(shared * group, group), keep).Select(head => shared * group + head))] };
        double[] groups = new double[scores.Length / group];
        Importance.Groups(scores, group, groups);
        int[] kept = Importance.Highest(groups, keep);
        return layer with { KeyValueHeads = kept, Heads = [.. kept.SelectMany(shared => Enumerable.Range(shared * group, group))] };
    }

    static Moments[] Measure(DecoderModel model, ModelWork work)
    {
        Moments[] inputs = [.. model.Blocks.Select(block => new Moments(block.Attention.Output.Weight.Columns))];
        new BlockWalk(model, work)
        {
            Reads = (layer, linear, x) =>
            {
                if (ReferenceEquals(linear, model.Blocks[layer].Attention.Output))
                    inputs[layer].Add(x.Data);
            },
        }.Run();
        return inputs;
    }

    // Of query heads. Shared keys and values count for each head that reads them.
    double[] ScoresOf(Attention attention, Moments? moments, Random random)
    {
        if (Score == UnitScore.Random)
            return [.. Enumerable.Range(0, attention.Heads).Select(_ => random.NextDouble())];
        double[] numbers = Importance.ColumnSquares(attention.Output.Weight), scores = new double[attention.Heads];
        if (Score != UnitScore.WeightNorm)
            Importance.Contributions(Score == UnitScore.ActivationVariance ? moments!.Variances : moments!.MeanSquares, numbers, numbers);
        Importance.Groups(numbers, attention.HeadWidth, scores);
        if (Score == UnitScore.WeightNorm)
            foreach ((Linear linear, int heads) in new[] { (attention.Query, attention.Heads), (attention.Key, attention.KeyValueHeads), (attention.Value, attention.KeyValueHeads) })
            {
                double[] rows = Importance.RowSquares(linear.Weight), own = new double[heads];
                Importance.Groups(rows, attention.HeadWidth, own);
                for (int head = 0; head < scores.Length; head++)
                    scores[head] += own[head / (scores.Length / heads)];
            }
        return scores;
    }
}

/// <summary>Which heads go together.</summary>
public enum HeadUnit
{
    /// <summary>A head of keys and values with all the query heads that share it: the cache shrinks too.</summary>
    Group,

    /// <summary>A query head, and equally many from every group.</summary>
    Query,
}
