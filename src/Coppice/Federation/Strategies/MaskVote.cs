using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Strategies;

/// <summary>Pruning by vote: weights that a share of the votes or more would keep stay as they are, the others become 0. Votes weigh as clients' samples do.</summary>
public sealed class MaskVote(double threshold = 0.5) : AveragingStrategy
{
    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"maskvote:{threshold}");

    /// <inheritdoc/>
    public override ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, AggregationContext context) => model.Map((name, current) =>
    {
        double[] votes = Mean(name, current, kind, updates, BySamples);
        Tensor next = new(current.Shape);
        for (int i = 0; i < votes.Length; i++)
            next.Data[i] = votes[i] >= threshold ? current.Data[i] : 0;
        return next;
    });
}
