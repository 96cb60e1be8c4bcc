using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>Federated averaging (McMahan et al. 2017): clients drawn at random, w = sum n_k w_k / sum n_k, server learning rate 1.</summary>
public sealed class FedAvg : IStrategy
{
    /// <inheritdoc/>
    public string Name => "fedavg";

    /// <inheritdoc/>
    public IReadOnlyList<string> Select(IReadOnlyList<string> clients, int count, int round, int seed)
    {
        string[] drawn = [.. clients.Order(StringComparer.Ordinal)];
        Seeds.Generator(seed, "select", round).Shuffle(drawn);
        return [.. drawn.Take(count).Order(StringComparer.Ordinal)];
    }

    /// <inheritdoc/>
    public ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates)
    {
        WeightedUpdate[] ordered = [.. updates.OrderBy(update => update.Client, StringComparer.Ordinal)];
        long samples = ordered.Sum(update => (long)update.Samples);
        return model.Map((name, current) =>
        {
            // n_k w_k is exact in double (24 + 29 bits) for fewer than 2^29 samples, so one client's weights come back as they are.
            double[] sum = new double[current.Shape.Length];
            foreach (WeightedUpdate update in ordered)
                AddScaled(update.Values.Tensors[name].Data, update.Samples, sum);
            Tensor next = new(current.Shape);
            for (int i = 0; i < sum.Length; i++)
                next.Data[i] = (float)(sum[i] / samples + (kind == UpdateKind.Delta ? current.Data[i] : 0));
            return next;
        });
    }

    static void AddScaled(ReadOnlySpan<float> values, double scale, Span<double> sum)
    {
        for (int i = 0; i < values.Length; i++)
            sum[i] += scale * values[i];
    }
}
