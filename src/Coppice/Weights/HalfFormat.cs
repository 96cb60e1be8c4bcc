namespace Coppice.Weights;

/// <summary>Two ways to keep a number in 16 bits.</summary>
public enum HalfFormat
{
    /// <summary>IEEE half: 5 bits of exponent, 10 of mantissa; up to 65504.</summary>
    Float16,

    /// <summary>The upper half of a float32: 8 bits of exponent, 7 of mantissa.</summary>
    BFloat16,
}
