using System.Numerics;

namespace Coppice.Federation.Secure;

/// <summary>
/// How many of a sample, drawn without replacement, are marked. Counted in whole numbers and so exact: both sides of a protocol come to the same thresholds whatever their machine.
/// </summary>
sealed class Hypergeometric
{
    readonly int lowest;
    readonly BigInteger[] counts;
    readonly BigInteger total;

    /// <summary>A sample of <paramref name="drawn"/> out of <paramref name="all"/>, <paramref name="marked"/> of which are marked.</summary>
    public Hypergeometric(int all, int marked, int drawn)
    {
        // Count of samples with i marked: C(marked, i) C(all - marked, drawn - i).
        (lowest, int highest) = (Math.Max(0, drawn - (all - marked)), Math.Min(marked, drawn));
        counts = new BigInteger[highest - lowest + 1];
        BigInteger count = Choose(marked, lowest) * Choose(all - marked, drawn - lowest);
        for (int i = lowest; i <= highest; i++)
        {
            counts[i - lowest] = count;
            total += count;
            if (i < highest)
                count = count * (marked - i) * (drawn - i) / ((BigInteger)(i + 1) * (all - marked - drawn + i + 1));
        }
    }

    /// <summary>Whether <paramref name="times"/> P[marked in the sample >= least] is at most 2^-bits.</summary>
    public bool AtLeastIsBelow(int least, int times, int bits) => IsBelow(Sum(least, int.MaxValue), times, bits);

    /// <summary>Whether <paramref name="times"/> P[marked in the sample &lt; least] is at most 2^-bits.</summary>
    public bool FewerIsBelow(int least, int times, int bits) => IsBelow(Sum(0, least - 1), times, bits);

    /// <summary>n over k.</summary>
    public static BigInteger Choose(int n, int k)
    {
        BigInteger value = 1;
        for (int i = 1; i <= k; i++)
            value = value * (n - k + i) / i;
        return value;
    }

    BigInteger Sum(int from, int to)
    {
        BigInteger sum = 0;
        for (int i = Math.Max(from - lowest, 0); i < counts.Length && i + lowest <= to; i++)
            sum += counts[i];
        return sum;
    }

    bool IsBelow(BigInteger count, int times, int bits) => count * times << bits <= total;
}
