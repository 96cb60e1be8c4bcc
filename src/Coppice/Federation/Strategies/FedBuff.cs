using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Strategies;

/// <summary>
/// Buffered asynchronous aggregation (FedBuff, Nguyen et al. 2022): the model changes whenever <see cref="BufferSize"/> deltas have come, x += rate / K sum d_i / sqrt(1 + staleness_i), and no client waits for another.
/// </summary>
public sealed class FedBuff(int bufferSize, double rate = 1) : AveragingStrategy
{
    /// <summary>K: deltas to a step.</summary>
    public int BufferSize => bufferSize;

    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"fedbuff:{bufferSize}:{rate}");

    /// <inheritdoc/>
    public override ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, AggregationContext context) => model.Map((name, current) =>
    {
        // The mean of weights alone would give back what staleness takes; a delta counts less, not the others more.
        double share = updates.Sum(Weight) / updates.Count;
        double[] delta = MeanDelta(name, current, kind, updates, Weight);
        Tensor next = new(current.Shape);
        for (int i = 0; i < delta.Length; i++)
            next.Data[i] = (float)(current.Data[i] + rate * share * delta[i]);
        return next;
    });

    static double Weight(WeightedUpdate update) => 1 / Math.Sqrt(1.0 + update.Staleness);
}
