namespace Coppice.Evaluation;

/// <summary>A number's spread over the scored tokens.</summary>
public sealed class Distribution
{
    readonly double[] ascending;

    internal Distribution(IEnumerable<double> values)
    {
        ascending = [.. values];
        Array.Sort(ascending);
    }

    /// <summary>The least.</summary>
    public double Min => ascending[0];

    /// <summary>Half of them lie below.</summary>
    public double Median => Percentile(50);

    /// <summary>The greatest.</summary>
    public double Max => ascending[^1];

    /// <summary>The value at a percentile 0 to 100, interpolated linearly.</summary>
    public double Percentile(double percent) => Statistics.Percentile(ascending, percent);
}
