using System.Runtime.Intrinsics;

namespace Coppice.Federation.Strategies;

/// <summary>The average of <see cref="FedAvg"/> where updates come one at a time and piece by piece, so that little of one is in memory: the same sums in double, in the order in which they come, which has to be that of the clients' names.</summary>
sealed class RunningMean
{
    double[] sums = [];
    double weight, weights;

    /// <summary>Begins anew.</summary>
    /// <param name="count">How many numbers are averaged.</param>
    public void Begin(int count)
    {
        if (sums.Length < count)
            sums = new double[count];
        Array.Clear(sums, 0, count);
        weights = 0;
    }

    /// <summary>Counts a client, whose numbers come next.</summary>
    public void Next(double weight) => weights += this.weight = weight;

    /// <summary>Adds a piece of its numbers.</summary>
    public void Add(int at, ReadOnlySpan<float> values)
    {
        Span<double> sum = sums.AsSpan(at, values.Length);
        Vector512<double> scale = Vector512.Create(weight);
        int i = 0;
        for (; i <= values.Length - Vector512<double>.Count; i += Vector512<double>.Count)
        {
            Span<double> own = sum.Slice(i, Vector512<double>.Count);
            (Vector256<double> low, Vector256<double> high) = Vector256.Widen(Vector256.Create(values.Slice(i, Vector256<float>.Count)));
            (Vector512.Create<double>(own) + scale * Vector512.Create(low, high)).CopyTo(own);
        }
        for (; i < values.Length; i++)
            sum[i] += weight * values[i];
    }

    /// <summary>Puts a piece of the next model in place of this one's numbers.</summary>
    public void End(UpdateKind kind, int at, Span<float> numbers)
    {
        ReadOnlySpan<double> sum = sums.AsSpan(at, numbers.Length);
        for (int i = 0; i < numbers.Length; i++)
            numbers[i] = (float)(sum[i] / weights + (kind == UpdateKind.Delta ? numbers[i] : 0));
    }
}
