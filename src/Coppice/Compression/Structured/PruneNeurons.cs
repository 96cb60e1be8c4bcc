using System.Globalization;
using Coppice.Models;

namespace Coppice.Compression.Structured;

/// <summary>Takes a share of the feed-forward neurons out of every layer, each layer's least: a row of gate and up and a column of down each (Ma et al. 2023).</summary>
public sealed record PruneNeurons : StructuredStep
{
    // Of fewer tokens than this an expert's activations say little.
    const int FewestTokens = 32;

    /// <inheritdoc/>
    public override string Key => "pruneNeurons";

    /// <summary>The share that goes, above 0 and below 1.</summary>
    public double Share { get; init; } = 0.2;

    /// <summary>What tells how much a neuron matters.</summary>
    public UnitScore Score { get; init; }

    /// <summary>How many stay is a multiple of this, so that groups and blocks of quantized weights still fit.</summary>
    public int Multiple { get; init; } = 32;

    /// <inheritdoc/>
    public override bool NeedsCalibration => UnitScores.ReadsText(Score);

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("share", Number(Share)), ("score", UnitScores.NameOf(Score)), ("multiple", Multiple.ToString(CultureInfo.InvariantCulture))];

    internal static PruneNeurons Read(OptionReader options) => new()
    {
        Share = options.Between("share", 0.2, 0, 1),
        Score = UnitScores.Read(options),
        Multiple = options.Int("multiple", 32, 1, 4096),
    };

    /// <inheritdoc/>
    protected override DecoderModel Apply(DecoderModel model, ModelWork work)
    {
        Dictionary<Linear, Moments> inputs = NeedsCalibration ? Measure(model, work) : [];
        KeptUnits all = KeptUnits.All(model);
        return Shrinking.Apply(model, all with { Layers = [.. all.Layers.Select(layer => layer with { Neurons = KeptOf(model, layer.Layer, inputs, work) })] });
    }

    static Dictionary<Linear, Moments> Measure(DecoderModel model, ModelWork work)
    {
        Dictionary<Linear, Moments> inputs = model.Blocks.SelectMany(block => KeptUnits.Parts(block.FeedForward)).ToDictionary(part => part.Down, part => new Moments(part.Down.Weight.Columns));
        new BlockWalk(model, work)
        {
            Reads = (_, linear, x) =>
            {
                if (inputs.TryGetValue(linear, out Moments? moments))
                    moments.Add(x.Data);
            },
        }.Run();
        return inputs;
    }

    int[][] KeptOf(DecoderModel model, int layer, Dictionary<Linear, Moments> inputs, ModelWork work)
    {
        IReadOnlyList<FeedForward> parts = KeptUnits.Parts(model.Blocks[layer].FeedForward);
        int[][] kept = new int[parts.Count][];
        double gone = 0;
        for (int i = 0; i < parts.Count; i++)
        {
            work.Cancel.ThrowIfCancellationRequested();
            Moments? moments = inputs.GetValueOrDefault(parts[i].Down);
            bool isBlind = moments is { Tokens: < FewestTokens } && parts.Count > 1;
            if (isBlind)
                work.Warnings.Add($"layer {layer}, expert {i}: {moments!.Tokens} calibration tokens reach it, fewer than {FewestTokens}: its neurons went by weightNorm");
            double[] scores = ScoresOf(parts[i], isBlind ? UnitScore.WeightNorm : Score, moments, work.Random);
            kept[i] = Importance.Highest(scores, CountKept("neurons", scores.Length, Share, Multiple));
            gone += Importance.ShareGone(scores, kept[i]) / parts.Count;
        }
        work.Notes.Add(string.Create(CultureInfo.InvariantCulture, $"layer {layer}: {parts.Sum(part => part.Down.Weight.Columns) - kept.Sum(part => part.Length)} of {parts.Sum(part => part.Down.Weight.Columns)} neurons went, with {100 * gone:0.00} % of the score"));
        return kept;
    }

    static double[] ScoresOf(FeedForward part, UnitScore score, Moments? moments, Random random)
    {
        int count = part.Down.Weight.Columns;
        double[] scores = new double[count];
        switch (score)
        {
            case UnitScore.Random:
                return [.. scores.Select(_ => random.NextDouble())];
            case UnitScore.WeightNorm:
                foreach (double[] squares in new[] { part.Gate is null ? scores : Importance.RowSquares(part.Gate.Weight), Importance.RowSquares(part.Up.Weight), Importance.ColumnSquares(part.Down.Weight) })
                    for (int j = 0; j < count; j++)
                        scores[j] += squares[j];
                return scores;
            default:
                Importance.Contributions(score == UnitScore.ActivationVariance ? moments!.Variances : moments!.MeanSquares, Importance.ColumnSquares(part.Down.Weight), scores);
                return scores;
        }
    }
}
