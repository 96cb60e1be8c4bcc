namespace Coppice.Models;

/// <summary>How rotary frequencies differ from theta^(-2i/d), for contexts longer than the first training's.</summary>
public abstract record RopeScaling
{
    /// <summary>The frequencies in place of <paramref name="frequencies"/>, one for each pair of a head, which <paramref name="theta"/> is the base of.</summary>
    public abstract double[] Scale(double[] frequencies, double theta);

    /// <summary>What it is, in words.</summary>
    public abstract string Name { get; }

    /// <summary>What turned queries and turned keys are multiplied by.</summary>
    public virtual double Amplitude => 1;
}

/// <summary>All frequencies over one factor (Chen et al. 2023).</summary>
public sealed record LinearRopeScaling(double Factor) : RopeScaling
{
    /// <inheritdoc/>
    public override string Name => $"linear by {Factor:R}";

    /// <inheritdoc/>
    public override double[] Scale(double[] frequencies, double theta) => [.. frequencies.Select(frequency => frequency / Factor)];
}

/// <summary>A base that grows with a text beyond the model's context: within it, which is all that is computed here, nothing changes.</summary>
public sealed record DynamicRopeScaling(double Factor) : RopeScaling
{
    /// <inheritdoc/>
    public override string Name => $"dynamic by {Factor:R} beyond the context";

    /// <inheritdoc/>
    public override double[] Scale(double[] frequencies, double theta) => frequencies;
}

/// <summary>Llama 3.1's: short waves stay, long ones are stretched by <paramref name="Factor"/>, those between in proportion.</summary>
/// <param name="Factor">How much longer contexts became.</param>
/// <param name="LowFactor">Waves longer than <paramref name="OriginalContext"/> over this are stretched.</param>
/// <param name="HighFactor">Waves shorter than <paramref name="OriginalContext"/> over this stay.</param>
/// <param name="OriginalContext">The first training's context.</param>
public sealed record Llama3RopeScaling(double Factor, double LowFactor, double HighFactor, int OriginalContext) : RopeScaling
{
    /// <inheritdoc/>
    public override string Name => $"Llama 3's by {Factor:R} from {OriginalContext}";

    /// <inheritdoc/>
    public override double[] Scale(double[] frequencies, double theta) => [.. frequencies.Select(frequency =>
    {
        double turns = OriginalContext * frequency / (2 * Math.PI);
        double kept = Math.Clamp((turns - LowFactor) / (HighFactor - LowFactor), 0, 1);
        return (1 - kept) * frequency / Factor + kept * frequency;
    })];
}

/// <summary>YaRN (Peng et al. 2023): pairs that turn more than <paramref name="BetaFast"/> times in the first training's context stay, those that turn less than <paramref name="BetaSlow"/> times are stretched,
/// those between by their place in the head.</summary>
/// <param name="Factor">How much longer contexts became.</param>
/// <param name="OriginalContext">The first training's context.</param>
/// <param name="BetaFast">32 in the paper.</param>
/// <param name="BetaSlow">1 in the paper.</param>
/// <param name="AttentionFactor">What queries and keys are multiplied by; see <see cref="UsualAttentionFactor"/>.</param>
public sealed record YarnRopeScaling(double Factor, int OriginalContext, double BetaFast, double BetaSlow, double AttentionFactor) : RopeScaling
{
    /// <inheritdoc/>
    public override string Name => $"YaRN by {Factor:R} from {OriginalContext}";

    /// <inheritdoc/>
    public override double Amplitude => AttentionFactor;

    /// <summary>The paper's 0.1 ln(factor) + 1.</summary>
    public static double UsualAttentionFactor(double factor) => factor <= 1 ? 1 : 0.1 * Math.Log(factor) + 1;

    /// <inheritdoc/>
    public override double[] Scale(double[] frequencies, double theta)
    {
        double low = Math.Max(0, Math.Floor(PairOf(BetaFast))), high = Math.Min(2 * frequencies.Length - 1, Math.Ceiling(PairOf(BetaSlow)));
        return [.. frequencies.Select((frequency, pair) =>
        {
            double stretched = Math.Clamp((pair - low) / Math.Max(high - low, 0.001), 0, 1);
            return stretched * frequency / Factor + (1 - stretched) * frequency;
        })];

        // The pair, as a broken number, that turns so many times: theta^(-i/n) context = 2 pi turns.
        double PairOf(double turns) => frequencies.Length * Math.Log(OriginalContext / (2 * Math.PI * turns)) / Math.Log(theta);
    }
}

/// <summary>LongRoPE (Ding et al. 2024): a divisor for each pair, found by search, one list for texts within the first training's context, which is all that is computed here, and one for longer texts.</summary>
/// <param name="OriginalContext">The first training's context.</param>
/// <param name="Context">The context that the long list is for.</param>
/// <param name="Short">The divisors within the first context.</param>
/// <param name="Long">The divisors beyond it.</param>
/// <param name="AttentionFactor">What queries and keys are multiplied by, whichever list; see <see cref="UsualAttentionFactor"/>.</param>
public sealed record LongRopeScaling(int OriginalContext, int Context, IReadOnlyList<double> Short, IReadOnlyList<double> Long, double AttentionFactor) : RopeScaling
{
    /// <inheritdoc/>
    public override string Name => $"LongRoPE, the short list of {OriginalContext} and {Context}";

    /// <inheritdoc/>
    public override double Amplitude => AttentionFactor;

    /// <summary>The paper's sqrt(1 + ln(context / original) / ln(original)).</summary>
    public static double UsualAttentionFactor(int original, int context) => context <= original ? 1 : Math.Sqrt(1 + Math.Log((double)context / original) / Math.Log(original));

    /// <inheritdoc/>
    public override double[] Scale(double[] frequencies, double theta) => [.. frequencies.Select((frequency, pair) => frequency / Short[pair])];

    /// <inheritdoc/>
    public bool Equals(LongRopeScaling? other) =>
        other is not null && (OriginalContext, Context, AttentionFactor) == (other.OriginalContext, other.Context, other.AttentionFactor) && Short.SequenceEqual(other.Short) && Long.SequenceEqual(other.Long);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(OriginalContext, Context, AttentionFactor);
}

/// <summary>A divisor for each pair, as GGUF's tensor rope_freqs.weight has them.</summary>
public sealed record ListedRopeScaling(IReadOnlyList<float> Divisors) : RopeScaling
{
    /// <inheritdoc/>
    public override string Name => "listed divisors";

    /// <inheritdoc/>
    public override double[] Scale(double[] frequencies, double theta) => [.. frequencies.Select((frequency, pair) => frequency / Divisors[pair])];

    /// <inheritdoc/>
    public bool Equals(ListedRopeScaling? other) => other is not null && Divisors.SequenceEqual(other.Divisors);

    /// <inheritdoc/>
    public override int GetHashCode() => Divisors.Count;
}
