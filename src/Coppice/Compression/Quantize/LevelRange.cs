using System.Numerics.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Scales for a table of levels, used in rounding as they are stored: halves, or powers of two.</summary>
static class LevelRange
{
    // TWN's threshold, as a share of the mean magnitude (Li et al. 2016, eq. 6).
    const float TernaryThreshold = 0.7f;

    // A search starts at these shares of the plain scale, and each is settled in a few rounds.
    const int Rounds = 4;
    static readonly float[] Starts = [1, 0.85f, 0.7f, 0.55f, 0.4f];

    /// <summary>The scale of the whole range: what puts <paramref name="largest"/> on the table's <see cref="LevelTable.Range"/>. A power of two as OCP has it: the exponent of the largest number less that of the range, so that numbers above the last level are clipped.</summary>
    public static Half Spanning(float largest, LevelTable table, bool isPowerOfTwo) => isPowerOfTwo
        ? PowerOfTwo(largest > 0 ? MathF.ILogB(largest) - MathF.ILogB(table.Range) : -24)
        : ToHalf(largest / table.Range);

    /// <summary>The papers' scale of numbers that share it: mean|w| for two levels, mean|w| of what is larger than 0.7 mean|w| for three, the whole range for others.</summary>
    public static Half Plain(ReadOnlySpan<float> values, LevelTable table, bool isPowerOfTwo)
    {
        if (table != LevelTables.Binary && table != LevelTables.Ternary)
            return Spanning(values.IsEmpty ? 0 : Math.Abs(TensorPrimitives.MaxMagnitude(values)), table, isPowerOfTwo);
        double mean = (double)TensorPrimitives.SumOfMagnitudes(values) / Math.Max(1, values.Length), sum = 0;
        if (table == LevelTables.Binary)
            return ToHalf((float)mean);
        int count = 0;
        foreach (float value in values)
            if (Math.Abs(value) > TernaryThreshold * mean)
            {
                sum += Math.Abs(value);
                count++;
            }
        return ToHalf((float)(sum / Math.Max(1, count)));
    }

    /// <summary>Of scales around the plain one that with the least sum of weight (w - scale level)^2: from several starts nearest levels and the best scale for them in turns, or the powers of two beside it. <paramref name="weights"/> may be empty.</summary>
    public static Half LeastSquares(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, LevelTable table, bool isPowerOfTwo)
    {
        Half plain = Plain(values, table, isPowerOfTwo), best = plain;
        double least = Error(values, weights, (float)plain, table, out _);
        if (isPowerOfTwo)
        {
            foreach (float other in (ReadOnlySpan<float>)[0.5f, 2])
                Take(PowerOfTwo(MathF.ILogB((float)plain * other)), values, weights);
            return best;
        }
        foreach (float start in Starts)
        {
            Half scale = ToHalf((float)plain * start);
            for (int round = 0; round < Rounds; round++)
            {
                double fitted = Take(scale, values, weights);
                Half next = ToHalf((float)fitted);
                if (!(fitted > 0) || next == scale)
                    break;
                scale = next;
            }
        }
        return best;

        double Take(Half scale, ReadOnlySpan<float> values, ReadOnlySpan<float> weights)
        {
            double error = Error(values, weights, (float)scale, table, out double fitted);
            if (error < least)
                (best, least) = (scale, error);
            return fitted;
        }
    }

    // The error, and the scale that the levels so chosen fit best.
    static double Error(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, float scale, LevelTable table, out double fitted)
    {
        double error = 0, cross = 0, square = 0;
        ReadOnlySpan<float> levels = table.Levels;
        float inverse = scale == 0 ? 0 : 1 / scale;
        for (int i = 0; i < values.Length; i++)
        {
            float level = levels[table.Nearest(values[i] * inverse)], weight = weights.IsEmpty ? 1 : weights[i];
            float miss = values[i] - scale * level;
            error += weight * miss * miss;
            cross += weight * values[i] * level;
            square += weight * level * level;
        }
        fitted = square > 0 ? cross / square : 0;
        return error;
    }

    // Halves hold the powers from 2^-24 to 2^15.
    static Half PowerOfTwo(int exponent) => (Half)MathF.ScaleB(1, Math.Clamp(exponent, -24, 15));

    static Half ToHalf(float scale) => Half.IsInfinity((Half)scale) ? Half.MaxValue : (Half)scale;
}
