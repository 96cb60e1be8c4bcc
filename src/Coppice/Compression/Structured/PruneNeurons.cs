using Coppice.Models;

namespace Coppice.Compression.Structured;

/// <summary>Takes out the neurons of lowest score (Ma et al. 2023).</summary>
public sealed record PruneNeurons : NeuronStep
{
    /// <inheritdoc/>
    public override string Key => "pruneNeurons";

    /// <summary>What tells how much a neuron matters.</summary>
    public UnitScore Score { get; init; }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [("score", UnitScores.NameOf(Score)), .. base.Options];

    internal static PruneNeurons Read(OptionReader options) => ReadCommon(options, new PruneNeurons { Score = UnitScores.Read(options) });

    private protected override Statistics Needs => UnitScores.ReadsText(Score) ? Statistics.ColumnNorms : Statistics.None;

    private protected override double[][]? Prepare(DecoderModel model, ModelWork work) =>
        Score == UnitScore.Taylor ? TaylorScores.Of(model, work, [.. Parts(model).Select(part => (IReadOnlyList<MatrixLayer>)[part.Down])]) : null;

    private protected override NeuronChoice Choose(FeedForward part, Inputs? inputs, int keep, ModelWork work)
    {
        if (Score == UnitScore.Random)
        {
            double[] lots = [.. Enumerable.Range(0, part.Down.Weight.Columns).Select(_ => work.Random.NextDouble())];
            return new NeuronChoice(Importance.Highest(lots, keep), "by lot");
        }
        if (Score == UnitScore.WeightNorm || inputs is null)
            return ByWeights(part, keep);
        double[] scores = Importance.ColumnSquares(part.Down.Weight);
        Importance.Contributions(Score == UnitScore.ActivationVariance ? inputs.Moments.Variances : inputs.Moments.MeanSquares, scores, scores);
        return NeuronChoice.Highest(scores, keep);
    }

    /// <summary>Those with the largest weights stay.</summary>
    internal static NeuronChoice ByWeights(FeedForward part, int keep)
    {
        double[] scores = Importance.ColumnSquares(part.Down.Weight);
        foreach (Linear reader in part.ReadTogether)
            Importance.Add(Importance.RowSquares(reader.Weight), scores);
        return NeuronChoice.Highest(scores, keep);
    }
}
