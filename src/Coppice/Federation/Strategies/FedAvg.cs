using Coppice.Tensors;

namespace Coppice.Federation.Strategies;

/// <summary>Federated averaging (McMahan et al. 2017): w = sum n_k w_k / sum n_k, server learning rate 1.</summary>
public sealed class FedAvg : AveragingStrategy
{
    /// <inheritdoc/>
    public override string Name => "fedavg";

    /// <inheritdoc/>
    public override ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, AggregationContext context) => Average(model, kind, updates);

    /// <summary>The averaged weights. n_k w_k is exact in double (24 + 29 bits) for fewer than 2^29 samples, so one client's weights come back as they are.</summary>
    internal static ParameterSet Average(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates) => model.Map((name, current) =>
    {
        double[] mean = Mean(name, current, kind, updates, BySamples);
        Tensor next = new(current.Shape);
        for (int i = 0; i < mean.Length; i++)
            next.Data[i] = (float)(mean[i] + (kind == UpdateKind.Delta ? current.Data[i] : 0));
        return next;
    });
}
