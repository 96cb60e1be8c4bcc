using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Strategies;

/// <summary>Averaging with momentum on the server (Hsu et al. 2019): v = beta v + D, x += rate v, D being the averaged delta.</summary>
public sealed class FedAvgM(double beta = 0.9, double rate = 1) : AveragingStrategy
{
    const string Prefix = "momentum.";

    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"fedavgm:{beta}:{rate}");

    /// <inheritdoc/>
    public override ParameterSet NewState(ParameterSet model) => new(model.Tensors.Select(part => (Prefix + part.Key, new Tensor(part.Value.Shape))));

    /// <inheritdoc/>
    public override ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, AggregationContext context)
    {
        ArgumentNullException.ThrowIfNull(context.State);
        return model.Map((name, current) =>
        {
            double[] delta = MeanDelta(name, current, kind, updates, BySamples);
            Span<float> momentum = context.State.Tensors[Prefix + name].Data;
            Tensor next = new(current.Shape);
            for (int i = 0; i < delta.Length; i++)
            {
                momentum[i] = (float)(beta * momentum[i] + delta[i]);
                next.Data[i] = (float)(current.Data[i] + rate * momentum[i]);
            }
            return next;
        });
    }
}
