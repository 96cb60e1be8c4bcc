using Coppice.Tensors;

namespace Coppice.Federation.Strategies;

/// <summary>Clients drawn at random, and their updates averaged with their samples as weights.</summary>
public abstract class AveragingStrategy : IStrategy
{
    /// <inheritdoc/>
    public abstract string Name { get; }

    /// <inheritdoc/>
    public virtual double Proximal => 0;

    /// <inheritdoc/>
    public virtual bool UsesControl => false;

    /// <inheritdoc/>
    public virtual ParameterSet? NewState(ParameterSet model) => null;

    /// <inheritdoc/>
    public IReadOnlyList<string> Select(IReadOnlyList<string> clients, int count, int round, int seed)
    {
        string[] drawn = [.. clients.Order(StringComparer.Ordinal)];
        Seeds.Generator(seed, "select", round).Shuffle(drawn);
        return [.. drawn.Take(count).Order(StringComparer.Ordinal)];
    }

    /// <inheritdoc/>
    public abstract ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, AggregationContext context);

    /// <summary>sum w_k v_k / sum w_k of one tensor, in double and in the order of names.</summary>
    private protected static double[] Mean(string tensor, Tensor current, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, Func<WeightedUpdate, double> weight)
    {
        if (updates.Any(update => update.Part is not null))
            return NestedMean(tensor, current, kind, updates, weight);
        double[] sum = new double[current.Shape.Length];
        double weights = 0;
        foreach (WeightedUpdate update in updates.OrderBy(update => update.Client, StringComparer.Ordinal))
        {
            double scale = weight(update);
            weights += scale;
            ReadOnlySpan<float> values = update.Values.Tensors[tensor].Data;
            for (int i = 0; i < values.Length; i++)
                sum[i] += scale * values[i];
        }
        for (int i = 0; i < sum.Length; i++)
            sum[i] /= weights;
        return sum;
    }

    // Each number over those updates that have it (Diao et al. 2021); one that none has stays as it is.
    static double[] NestedMean(string tensor, Tensor current, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, Func<WeightedUpdate, double> weight)
    {
        double[] sum = new double[current.Shape.Length], weights = new double[current.Shape.Length];
        foreach (WeightedUpdate update in updates.OrderBy(update => update.Client, StringComparer.Ordinal))
        {
            double scale = weight(update);
            ReadOnlySpan<float> values = update.Values.Tensors[tensor].Data;
            if (update.Part is { } part)
                part.Add(tensor, current.Shape, scale, values, sum, weights);
            else
                for (int i = 0; i < values.Length; i++)
                {
                    sum[i] += scale * values[i];
                    weights[i] += scale;
                }
        }
        for (int i = 0; i < sum.Length; i++)
            sum[i] = weights[i] > 0 ? sum[i] / weights[i] : kind == UpdateKind.Weights ? current.Data[i] : 0;
        return sum;
    }

    /// <summary>The same as a change of the tensor, of updates of either kind.</summary>
    private protected static double[] MeanDelta(string tensor, Tensor current, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, Func<WeightedUpdate, double> weight)
    {
        double[] mean = Mean(tensor, current, kind, updates, weight);
        if (kind == UpdateKind.Weights)
            for (int i = 0; i < mean.Length; i++)
                mean[i] -= current.Data[i];
        return mean;
    }

    /// <summary>A client's windows.</summary>
    private protected static double BySamples(WeightedUpdate update) => update.Samples;
}
