using MathNet.Numerics.Statistics;

namespace Coppice.Inference;

/// <summary>How long each token of one generated text took, from its pass's start to its being drawn; what the caller did with it does not count.</summary>
public sealed class GenerationTiming
{
    readonly double[] later;

    internal GenerationTiming(int promptTokens, ReadOnlySpan<double> seconds)
    {
        PromptTokens = promptTokens;
        Tokens = seconds.Length;
        FirstTokenSeconds = seconds.IsEmpty ? double.NaN : seconds[0];
        later = seconds.IsEmpty ? [] : seconds[1..].ToArray();
        TotalSeconds = FirstTokenSeconds + later.Sum();
        LaterSeconds = [.. later];
        Array.Sort(later);
    }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; }

    /// <summary>Tokens generated.</summary>
    public int Tokens { get; }

    /// <summary>From the prompt to the first token; NaN where there was none.</summary>
    public double FirstTokenSeconds { get; }

    /// <summary>Seconds of each token after the first, in order.</summary>
    public IReadOnlyList<double> LaterSeconds { get; }

    /// <summary>Seconds of all tokens.</summary>
    public double TotalSeconds { get; }

    /// <summary>Median seconds a token after the first; NaN where there was none.</summary>
    public double Median => Percentile(50);

    /// <summary>95% of the tokens after the first took no longer.</summary>
    public double P95 => Percentile(95);

    /// <summary>99% of the tokens after the first took no longer.</summary>
    public double P99 => Percentile(99);

    /// <summary>Tokens a second after the first: (n - 1) / (total - first); NaN with fewer than two tokens.</summary>
    public double TokensPerSecond => later.Length == 0 ? double.NaN : later.Length / later.Sum();

    /// <summary>Seconds of the tokens after the first at a percentile 0 to 100, interpolated linearly (type 7 of Hyndman and Fan 1996).</summary>
    public double Percentile(double percent) => SortedArrayStatistics.QuantileCustom(later, percent / 100, QuantileDefinition.R7);
}
