using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Structured;

/// <summary>Takes a share of attention's heads out of every layer, each layer's least (Michel et al. 2019; Ma et al. 2023): key-value heads with all their queries, or as many queries of each.</summary>
public sealed record PruneHeads : CompensatingStep
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
    public override IEnumerable<(string Name, string Value)> Options => [("score", UnitScores.NameOf(Score)), ("share", Number(Share)), ("unit", Unit == HeadUnit.Query ? "query" : "group"), .. base.Options];

    internal static PruneHeads Read(OptionReader options) => ReadCompensation(options, new PruneHeads
    {
        Share = options.Between("share", 0.25, 0, 1),
        Score = UnitScores.Read(options),
        Unit = options.Choice("unit", HeadUnit.Group, ("group", HeadUnit.Group), ("query", HeadUnit.Query)),
    });

    private protected override Statistics Needs => UnitScores.ReadsText(Score) ? Statistics.ColumnNorms : Statistics.None;

    /// <inheritdoc/>
    protected override DecoderModel Apply(DecoderModel model, ModelWork work)
    {
        DecoderConfig config = model.Config;
        int group = config.HeadCount / config.KeyValueHeadCount;
        int keep = Unit == HeadUnit.Query ? CountKept("query heads of a group", group, Share) : CountKept("key-value heads", config.KeyValueHeadCount, Share);
        KeptUnits all = KeptUnits.All(model);
        // Before any work: the sizes do not depend on which heads go.
        ShrunkConfig.Of(config, all with { Layers = [.. all.Layers.Select(layer => Kept(layer, new double[config.HeadCount], keep, group))] });
        double[][]? taylor = Score == UnitScore.Taylor ? TaylorScores.Of(model, work, [.. model.Blocks.Select(block => (IReadOnlyList<MatrixLayer>)[block.Attention.Output])], config.HeadWidth) : null;
        KeptLayer[] layers = new KeptLayer[all.Layers.Count];
        Reconstruction?[] rebuilt = new Reconstruction?[layers.Length];
        Gather(model, work, block => [block.Attention.Output], (layer, inputs) =>
        {
            work.Cancel.ThrowIfCancellationRequested();
            Attention attention = model.Blocks[layer].Attention;
            Inputs? seen = inputs.GetValueOrDefault(attention.Output);
            double[] scores = taylor?[layer] ?? ScoresOf(attention, seen?.Moments, work.Random);
            layers[layer] = Kept(all.Layers[layer], scores, keep, group);
            int[] gone = [.. all.Layers[layer].Heads.Except(layers[layer].Heads)];
            string note = string.Create(CultureInfo.InvariantCulture, $"layer {layer}: head{(gone.Length == 1 ? "" : "s")} {string.Join(", ", gone)} went, with {100 * Importance.ShareGone(scores, layers[layer].Heads):0.00} % of the score");
            if (Reconstruct == Compensation.LeastSquares)
            {
                int[] numbers = [.. layers[layer].Heads.SelectMany(head => Enumerable.Range(head * attention.HeadWidth, attention.HeadWidth))];
                rebuilt[layer] = Reconstruction.Of(work, attention.Output, numbers, seen!, Dampening);
                note += rebuilt[layer]!.Note;
            }
            work.Notes.Add(note);
        });
        DecoderModel small = Shrinking.Apply(model, all with { Layers = layers });
        for (int layer = 0; layer < layers.Length; layer++)
            rebuilt[layer]?.Put(small.Blocks[layer].Attention.Output);
        return small;
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
