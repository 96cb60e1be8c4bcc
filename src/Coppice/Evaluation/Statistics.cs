using MathNet.Numerics.Distributions;
using MathNet.Numerics.Statistics;

namespace Coppice.Evaluation;

/// <summary>A number estimated from clusters, and its standard error.</summary>
public readonly record struct Estimate(double Value, double StandardError, int Clusters);

/// <summary>Errors of estimates from text. Tokens of one document are not independent, documents are: every error is over clusters.</summary>
public static class Statistics
{
    /// <summary>
    /// R = sum(y) / sum(m) over C clusters with totals y and sizes m, and its linearized standard error
    /// sqrt(C / (C - 1) * sum((y - R m)^2)) / sum(m) (the ratio estimator: Cochran 1977, section 6.4). NaN error for one cluster.
    /// </summary>
    public static Estimate Ratio(ReadOnlySpan<double> totals, ReadOnlySpan<double> sizes)
    {
        if (totals.Length != sizes.Length)
            throw new ArgumentException($"Ratio: {totals.Length} totals and {sizes.Length} sizes");
        double total = 0, size = 0;
        for (int c = 0; c < totals.Length; c++)
            (total, size) = (total + totals[c], size + sizes[c]);
        double ratio = total / size, squares = 0;
        for (int c = 0; c < totals.Length; c++)
        {
            double residual = totals[c] - ratio * sizes[c];
            squares += residual * residual;
        }
        int clusters = totals.Length;
        return new Estimate(ratio, clusters < 2 ? double.NaN : Math.Sqrt(squares * clusters / (clusters - 1)) / size, clusters);
    }

    /// <summary>The error of f(x), given that of x: |f'(x)| times it (the delta method).</summary>
    public static Estimate Transform(Estimate x, double value, double slope) => new(value, Math.Abs(slope) * x.StandardError, x.Clusters);

    /// <summary>The mean of single values whose clusters are named, and its clustered error.</summary>
    public static Estimate ClusteredMean(ReadOnlySpan<double> values, ReadOnlySpan<int> clusters)
    {
        if (values.Length != clusters.Length)
            throw new ArgumentException($"ClusteredMean: {values.Length} values and {clusters.Length} clusters");
        Dictionary<int, int> place = [];
        List<double> totals = [], sizes = [];
        for (int i = 0; i < values.Length; i++)
        {
            if (!place.TryGetValue(clusters[i], out int at))
            {
                place[clusters[i]] = at = totals.Count;
                totals.Add(0);
                sizes.Add(0);
            }
            totals[at] += values[i];
            sizes[at]++;
        }
        return Ratio(totals.ToArray(), sizes.ToArray());
    }

    /// <summary>The 95% interval value -/+ t * error, t of Student's distribution with C - 1 degrees of freedom. Of a difference within the same clusters it is the paired interval.</summary>
    public static Interval Interval95(Estimate estimate)
    {
        if (estimate.Clusters < 2)
            return new Interval(double.NegativeInfinity, double.PositiveInfinity);
        double half = StudentT.InvCDF(0, 1, estimate.Clusters - 1, 0.975) * estimate.StandardError;
        return new Interval(estimate.Value - half, estimate.Value + half);
    }

    /// <summary>The value at a percentile 0 to 100 of numbers in ascending order, interpolated linearly (type 7 of Hyndman and Fan 1996).</summary>
    public static double Percentile(double[] ascending, double percent) =>
        SortedArrayStatistics.QuantileCustom(ascending, percent / 100, QuantileDefinition.R7);
}
