using System.Numerics.Tensors;
using Coppice.Tensors;

namespace Coppice.Inference;

/// <summary>Where the range of a matrix's inputs ends, beyond which they are cut off.</summary>
public enum RangeRule
{
    /// <summary>At the largest that was seen: nothing is cut off.</summary>
    AbsMax,

    /// <summary>Where 99.9% of the magnitudes end.</summary>
    Percentile,

    /// <summary>Where the squares of what is cut off and of what is rounded are least in sum.</summary>
    SquaredError,
}

/// <summary>How large the inputs of a matrix were: magnitudes counted in eight bins a doubling, from 2^-24 to 2^24, and the largest. Tells no text; what several machines saw adds up.</summary>
public sealed class ActivationHistogram
{
    // The exponent of a float32 and the first three bits of its fraction number the bins.
    const int Shift = 20, First = 127 - 24 << 3, Bins = 48 << 3;
    const double Share = 0.999;
    const int MostCode = 127;

    readonly long[] counts = new long[Bins];

    /// <summary>Numbers seen.</summary>
    public long Count { get; private set; }

    /// <summary>The largest magnitude.</summary>
    public float Max { get; private set; }

    /// <summary>Numbers in each bin, the smallest first; those below and above the bins are in the first and the last.</summary>
    public ReadOnlySpan<long> Counts => counts;

    /// <summary>Counts numbers.</summary>
    /// <exception cref="CoppiceException">One of them is not finite.</exception>
    public void Add(ReadOnlySpan<float> numbers)
    {
        if (numbers.IsEmpty)
            return;
        float max = Math.Abs(TensorPrimitives.MaxMagnitude(numbers));
        if (!float.IsFinite(max))
            throw new CoppiceException($"an activation is {max}; the model is damaged");
        Max = Math.Max(Max, max);
        Count += numbers.Length;
        foreach (float number in numbers)
            counts[Math.Clamp((BitConverter.SingleToInt32Bits(Math.Abs(number)) >> Shift) - First, 0, Bins - 1)]++;
    }

    /// <summary>Adds what another machine counted.</summary>
    public void Add(ActivationHistogram other) => Add(other.Counts, other.Max);

    /// <summary>The same from its parts.</summary>
    /// <exception cref="CoppiceException">They are no histogram's.</exception>
    public void Add(ReadOnlySpan<long> others, float max)
    {
        if (others.Length != Bins || others.ContainsAnyInRange(long.MinValue, -1) || !(max >= 0) || !float.IsFinite(max))
            throw new CoppiceException($"a histogram of {others.Length} bins up to {max}, wanted {Bins} counts and a finite maximum");
        for (int i = 0; i < Bins; i++)
            checked { (counts[i], Count) = (counts[i] + others[i], Count + others[i]); }
        Max = Math.Max(Max, max);
    }

    /// <summary>The largest magnitude that is not cut off; 0 where nothing but zeros was seen.</summary>
    public float Range(RangeRule rule) => rule switch
    {
        RangeRule.AbsMax => Max,
        RangeRule.Percentile => Math.Min(Max, EndOf(BinOf(Share))),
        _ => LeastError(),
    };

    int BinOf(double share)
    {
        long sum = 0;
        for (int i = 0; i < Bins; i++)
            if ((sum += counts[i]) >= share * Count)
                return i;
        return Bins - 1;
    }

    // Numbers are taken for their bin's middle; one inside the range is off by a step's square over 12, or by all of it where it rounds to zero.
    float LeastError()
    {
        (float best, double least) = (Max, double.PositiveInfinity);
        for (int end = BinOf(1); end >= 0; end--)
        {
            float range = Math.Min(Max, EndOf(end));
            double step = range / MostCode, error = 0;
            for (int i = 0; i < Bins; i++)
                if (counts[i] > 0)
                {
                    double middle = Math.Min(Max, (EndOf(i - 1) + EndOf(i)) / 2), cut = Math.Max(0, middle - range);
                    error += counts[i] * (cut > 0 ? cut * cut : Math.Min(middle * middle, step * step / 12));
                }
            if (error < least)
                (best, least) = (range, error);
        }
        return best;
    }

    static float EndOf(int bin) => BitConverter.Int32BitsToSingle(bin + 1 + First << Shift);
}
