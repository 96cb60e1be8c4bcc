namespace Coppice.Evaluation;

/// <summary>A measured number with its error.</summary>
/// <param name="Metric">Its name: <c>nll</c>, <c>perplexity</c>, <c>bitsPerByte</c>, <c>kl</c>, <c>top1Agreement</c> ...</param>
/// <param name="Value">In the metric's unit.</param>
/// <param name="StandardError">In the same unit, clustered (see <see cref="Statistics.Ratio"/>); NaN where there is a single cluster.</param>
/// <param name="Samples">How many tokens (or examples) it rests on.</param>
/// <param name="Signature">Exactly what was measured; two scores compare only if these are equal.</param>
public readonly record struct Score(string Metric, double Value, double StandardError, int Samples, string Signature);

/// <summary>A range that holds the true value in 95 of 100 repetitions.</summary>
public readonly record struct Interval(double Low, double High)
{
    /// <summary>Whether the value lies inside, ends included.</summary>
    public bool Contains(double value) => Low <= value && value <= High;
}
