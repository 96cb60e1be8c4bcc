using System.Collections.Immutable;
using System.Numerics.Tensors;
using Coppice.Evaluation;

namespace Coppice.Explanation;

/// <summary>The same prompt and target explained in both models.</summary>
public sealed record AttributionPair(Attribution Base, Attribution Compressed);

/// <summary>Agreement over several prompts, with what its numbers have to be read against.</summary>
public sealed record AgreementResult
{
    /// <summary>The attributions, prompt by prompt.</summary>
    public required ImmutableArray<AttributionPair> Pairs { get; init; }

    /// <summary>One a measure of agreement.</summary>
    public required ImmutableArray<AgreementScore> Scores { get; init; }

    /// <summary>What the floor was measured on.</summary>
    public required string FloorLabel { get; init; }

    /// <summary>What the ceiling was measured on.</summary>
    public required string CeilingLabel { get; init; }
}

/// <summary>One measure of agreement: means over prompts, and their place between floor (0) and ceiling (1); null where the two do not differ.</summary>
public sealed record AgreementScore(string Name, Estimate Measured, Estimate Floor, Estimate Ceiling, Estimate? Rescaled)
{
    /// <summary>Means with their errors; the error of the rescaled ratio by the jackknife over prompts, which keeps the three paired.</summary>
    internal static AgreementScore From(string name, ReadOnlySpan<double> measured, ReadOnlySpan<double> floor, ReadOnlySpan<double> ceiling)
    {
        int n = measured.Length;
        double m = Sum(measured), f = Sum(floor), c = Sum(ceiling);
        Estimate? rescaled = null;
        if (c - f > 1e-9 * n)
        {
            double[] without = new double[n];
            bool defined = n > 1;
            for (int i = 0; i < n; i++)
            {
                double reach = c - ceiling[i] - (f - floor[i]);
                defined &= reach > 0;
                without[i] = (m - measured[i] - (f - floor[i])) / reach;
            }
            double mean = Sum(without) / n, squares = 0;
            foreach (double value in without)
                squares += (value - mean) * (value - mean);
            rescaled = new Estimate((m - f) / (c - f), defined ? Math.Sqrt(squares * (n - 1) / n) : double.NaN, n);
        }
        return new AgreementScore(name, Mean(measured), Mean(floor), Mean(ceiling), rescaled);
    }

    static Estimate Mean(ReadOnlySpan<double> values)
    {
        double[] sizes = new double[values.Length];
        Array.Fill(sizes, 1);
        return Statistics.Ratio(values, sizes);
    }

    static double Sum(ReadOnlySpan<double> values) => TensorPrimitives.Sum(values);
}
