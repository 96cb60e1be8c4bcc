using Coppice.Tensors;

namespace Coppice.Federation.Strategies;

/// <summary>The average of <see cref="FedAvg"/> where updates come one at a time, so that one of them is in memory: the same sums in double, in the order in which they come, which has to be that of the clients' names.</summary>
sealed class RunningMean(ParameterSet model)
{
    readonly Dictionary<string, double[]> sums = model.Tensors.ToDictionary(part => part.Key, part => new double[part.Value.Shape.Length], StringComparer.Ordinal);
    double weights;

    /// <summary>Adds an update with its weight.</summary>
    public void Add(double weight, ParameterSet values)
    {
        weights += weight;
        foreach ((string name, Tensor tensor) in values.Tensors)
        {
            ReadOnlySpan<float> numbers = tensor.Data;
            double[] sum = sums[name];
            for (int i = 0; i < sum.Length; i++)
                sum[i] += weight * numbers[i];
        }
    }

    /// <summary>The next model.</summary>
    public ParameterSet End(UpdateKind kind) => model.Map((name, current) =>
    {
        Tensor next = new(current.Shape);
        double[] sum = sums[name];
        for (int i = 0; i < sum.Length; i++)
            next.Data[i] = (float)(sum[i] / weights + (kind == UpdateKind.Delta ? current.Data[i] : 0));
        return next;
    });
}
