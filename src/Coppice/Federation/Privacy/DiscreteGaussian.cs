using System.Numerics;
using System.Runtime.InteropServices;
using Coppice.Federation.Secure;

namespace Coppice.Federation.Privacy;

/// <summary>
/// Whole numbers x with a probability in proportion to exp(-x^2 / (2 variance)), drawn exactly (Canonne, Kamath and Steinke 2020, algorithms 1 to 3): every decision compares random bits with a ratio of whole numbers, so
/// that no rounding of floating-point numbers is left for an attacker to look at.
/// </summary>
/// <param name="variance">1 to <see cref="LargestVariance"/>.</param>
/// <param name="bits">Where chance comes from.</param>
sealed class DiscreteGaussian(long variance, AesCtr bits)
{
    /// <summary>So that squares of what is compared stay within 128 bits.</summary>
    public const long LargestVariance = 1L << 54;

    // A ratio of doubles is nearer the true one than this.
    const double Doubt = 1.0 / (1L << 48);

    const int BufferWords = 512;

    readonly long scale = 1 + (long)Math.Sqrt(variance);
    readonly ulong[] words = new ulong[BufferWords];
    int at = BufferWords;

    /// <summary>The next number.</summary>
    public long Next()
    {
        while (true)
        {
            long laplace = NextLaplace();
            UInt128 distance = (UInt128)Int128.Abs((Int128)Math.Abs(laplace) * scale - variance);
            if (IsExponential(distance * distance, 2 * (UInt128)variance * (UInt128)scale * (UInt128)scale))
                return laplace;
        }
    }

    // x with a probability in proportion to exp(-|x| / scale).
    long NextLaplace()
    {
        while (true)
        {
            long within = NextBelow(scale);
            if (!IsExponential((UInt128)within, (UInt128)scale))
                continue;
            long whole = 0;
            while (IsExponential(1, 1))
                whole++;
            long magnitude = within + whole * scale;
            bool isNegative = (NextWord() & 1) == 1;
            if (!isNegative || magnitude > 0)
                return isNegative ? -magnitude : magnitude;
        }
    }

    // True with probability exp(-numerator / denominator).
    bool IsExponential(UInt128 numerator, UInt128 denominator)
    {
        for (; numerator > denominator; numerator -= denominator)
            if (!IsExponential(1, 1))
                return false;
        // The number of successes in a row, with probabilities g / 1, g / 2, ..., is even with probability exp(-g).
        double g = (double)numerator / (double)denominator;
        int tries = 1;
        while (IsBelow(g / tries, numerator, denominator, tries))
            tries++;
        return int.IsOddInteger(tries);
    }

    // True with probability numerator / (denominator tries), at most 1, which is about ratio: whether a random number of as many bits as it takes is below.
    bool IsBelow(double ratio, UInt128 numerator, UInt128 denominator, int tries)
    {
        ulong word = NextWord();
        double drawn = word * (1.0 / 18446744073709551616.0);
        return Math.Abs(drawn - ratio) > Doubt ? drawn < ratio : IsBelow(word, numerator, (BigInteger)denominator * tries);
    }

    bool IsBelow(BigInteger random, BigInteger wanted, BigInteger denominator)
    {
        for (int shift = 64; ; shift += 64)
        {
            if ((random + 1) * denominator <= wanted << shift)
                return true;
            if (random * denominator >= wanted << shift)
                return false;
            random = random << 64 | NextWord();
        }
    }

    // Uniform in [0, below); words that would favour small numbers are drawn anew (Lemire 2019).
    long NextBelow(long below)
    {
        ulong range = (ulong)below, least = (0 - range) % range;
        while (true)
        {
            ulong high = Math.BigMul(NextWord(), range, out ulong low);
            if (low >= least)
                return (long)high;
        }
    }

    ulong NextWord()
    {
        if (at == BufferWords)
        {
            bits.Fill(MemoryMarshal.AsBytes(words.AsSpan()));
            at = 0;
        }
        return words[at++];
    }
}
