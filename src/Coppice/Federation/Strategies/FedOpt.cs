using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Strategies;

/// <summary>How the server's second moment v follows the squared delta.</summary>
public enum ServerOptimizer
{
    /// <summary>v = b2 v + (1 - b2) D^2</summary>
    Adam,

    /// <summary>v -= (1 - b2) D^2 sign(v - D^2): never falls fast.</summary>
    Yogi,

    /// <summary>v += D^2</summary>
    Adagrad,
}

/// <summary>An adaptive optimizer on the server (Reddi et al. 2021): m = b1 m + (1 - b1) D, v as the kind says, x += rate m / (sqrt(v) + tau). v begins at tau^2. D is the averaged delta.</summary>
public sealed class FedOpt(ServerOptimizer kind, double rate = 1e-3, double beta1 = 0.9, double beta2 = 0.99, double tau = 1e-3) : AveragingStrategy
{
    const string FirstPrefix = "first.", SecondPrefix = "second.";

    /// <inheritdoc/>
    public override string Name => string.Create(CultureInfo.InvariantCulture, $"fed{kind.ToString().ToLowerInvariant()}:{rate}:{beta1}:{beta2}:{tau}");

    /// <inheritdoc/>
    public override ParameterSet NewState(ParameterSet model) => new(model.Tensors.SelectMany(part => new[]
    {
        (FirstPrefix + part.Key, new Tensor(part.Value.Shape)),
        (SecondPrefix + part.Key, Filled(part.Value.Shape)),
    }));

    /// <inheritdoc/>
    public override ParameterSet Aggregate(ParameterSet model, UpdateKind updateKind, IReadOnlyList<WeightedUpdate> updates, AggregationContext context)
    {
        ArgumentNullException.ThrowIfNull(context.State);
        return model.Map((name, current) =>
        {
            double[] delta = MeanDelta(name, current, updateKind, updates, BySamples);
            Span<float> first = context.State.Tensors[FirstPrefix + name].Data, second = context.State.Tensors[SecondPrefix + name].Data;
            Tensor next = new(current.Shape);
            for (int i = 0; i < delta.Length; i++)
            {
                first[i] = (float)(beta1 * first[i] + (1 - beta1) * delta[i]);
                second[i] = (float)Second(second[i], delta[i] * delta[i]);
                next.Data[i] = (float)(current.Data[i] + rate * first[i] / (Math.Sqrt(second[i]) + tau));
            }
            return next;
        });
    }

    double Second(double v, double square) => kind switch
    {
        ServerOptimizer.Adam => beta2 * v + (1 - beta2) * square,
        ServerOptimizer.Yogi => v - (1 - beta2) * square * Math.Sign(v - square),
        _ => v + square,
    };

    Tensor Filled(Shape shape)
    {
        Tensor tensor = new(shape);
        tensor.Data.Fill((float)(tau * tau));
        return tensor;
    }
}
