namespace Coppice.Models;

/// <summary>How rotary frequencies differ from theta^(-2i/d), for contexts longer than the first training's.</summary>
public abstract record RopeScaling
{
    /// <summary>The frequency in place of <paramref name="frequency"/>, pair <paramref name="pair"/> of a head.</summary>
    public abstract double Scale(int pair, double frequency);
}

/// <summary>All frequencies over one factor (Chen et al. 2023).</summary>
public sealed record LinearRopeScaling(double Factor) : RopeScaling
{
    /// <inheritdoc/>
    public override double Scale(int pair, double frequency) => frequency / Factor;
}

/// <summary>Llama 3.1's: short waves stay, long ones are stretched by <paramref name="Factor"/>, those between in proportion.</summary>
/// <param name="Factor">How much longer contexts became.</param>
/// <param name="LowFactor">Waves longer than <paramref name="OriginalContext"/> over this are stretched.</param>
/// <param name="HighFactor">Waves shorter than <paramref name="OriginalContext"/> over this stay.</param>
/// <param name="OriginalContext">The first training's context.</param>
public sealed record Llama3RopeScaling(double Factor, double LowFactor, double HighFactor, int OriginalContext) : RopeScaling
{
    /// <inheritdoc/>
    public override double Scale(int pair, double frequency)
    {
        double turns = OriginalContext * frequency / (2 * Math.PI);
        double kept = Math.Clamp((turns - LowFactor) / (HighFactor - LowFactor), 0, 1);
        return (1 - kept) * frequency / Factor + kept * frequency;
    }
}

/// <summary>A divisor for each pair, as GGUF's tensor rope_freqs.weight has them.</summary>
public sealed record ListedRopeScaling(IReadOnlyList<float> Divisors) : RopeScaling
{
    /// <inheritdoc/>
    public override double Scale(int pair, double frequency) => frequency / Divisors[pair];
}
