using System.Globalization;

namespace Coppice.Federation.Strategies;

/// <summary>Averaging, with clients held near the model that they received (Li et al. 2020): their loss has mu/2 |w - received|^2 besides, so that many local steps on texts that differ drift less.</summary>
public sealed class FedProx(double mu) : AveragingStrategy
{
    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"fedprox:{mu}");

    /// <inheritdoc/>
    public override double Proximal => mu;

    /// <inheritdoc/>
    public override ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, AggregationContext context) => FedAvg.Average(model, kind, updates);
}
