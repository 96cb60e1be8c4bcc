using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Strategies;

/// <summary>
/// Control variates against client drift (SCAFFOLD, Karimireddy et al. 2020, option II): clients step by g - c_i + c, then c_i+ = c_i - c + (x - y) / sum of rates; the server takes x += rate mean(y - x) and
/// c += |S| / N mean(c_i+ - c_i). The last is -c - (y - x) / sum of rates, so the server works it out from the delta and clients send nothing more. Clients weigh the same. Local steps are plain gradient steps.
/// </summary>
public sealed class Scaffold(double rate = 1) : AveragingStrategy
{
    /// <summary>Before the tensors' names, in the state and in tasks.</summary>
    internal const string Prefix = "control.";

    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"scaffold:{rate}");

    /// <inheritdoc/>
    public override bool UsesControl => true;

    /// <inheritdoc/>
    public override ParameterSet NewState(ParameterSet model) => new(model.Tensors.Select(part => (Prefix + part.Key, new Tensor(part.Value.Shape))));

    /// <inheritdoc/>
    public override ParameterSet Aggregate(ParameterSet model, UpdateKind kind, IReadOnlyList<WeightedUpdate> updates, AggregationContext context)
    {
        ArgumentNullException.ThrowIfNull(context.State);
        double share = (double)context.Answered / context.ClientCount;
        return model.Map((name, current) =>
        {
            double[] delta = MeanDelta(name, current, kind, updates, _ => 1);
            Span<float> control = context.State.Tensors[Prefix + name].Data;
            Tensor next = new(current.Shape);
            for (int i = 0; i < delta.Length; i++)
            {
                next.Data[i] = (float)(current.Data[i] + rate * delta[i]);
                control[i] = (float)(control[i] + share * (-control[i] - delta[i] / context.RateSum));
            }
            return next;
        });
    }
}
