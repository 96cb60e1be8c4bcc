namespace Coppice.Compression.Quantize;

/// <summary>How the range that a group's grid spans is chosen.</summary>
public enum RangeFit
{
    /// <summary>All of the group's numbers, the largest included.</summary>
    AbsMax,

    /// <summary>The range near that of <see cref="AbsMax"/> whose rounding has the least squared error, each number weighed by its input's mean square where that is known. The largest numbers may be clipped.</summary>
    SquaredError,
}

/// <summary>Fits scales and zero points; <paramref name="importance"/> weighs columns, empty for all alike.</summary>
internal readonly struct GridRange(RangeFit fit, float[] importance)
{
    // Shares of the full range that are tried: 1.08, 1.06 ... 0.6. Past 1, a symmetric grid's upper end, which is a code short, reaches the largest number.
    const int Tries = 25;
    const float First = 1.08f, Step = 0.02f;

    /// <summary>The whole range of every group.</summary>
    public static GridRange AbsMax { get; } = new(RangeFit.AbsMax, []);

    /// <summary>The scale and zero point of numbers that share them, of which the first stands in <paramref name="column"/>.</summary>
    public (Half Scale, byte Zero) Fit(ReadOnlySpan<float> values, int column, int bits, bool symmetric)
    {
        if (fit == RangeFit.AbsMax)
            return UniformGrid.Fit(values, bits, symmetric);
        ReadOnlySpan<float> weights = importance.Length == 0 ? default : importance.AsSpan(column, values.Length);
        (Half, byte) best = default;
        double least = double.PositiveInfinity;
        for (int i = 0; i < Tries; i++)
        {
            (Half scale, byte zero) = UniformGrid.Fit(values, bits, symmetric, First - i * Step);
            double error = Error(values, weights, (float)scale, zero, bits);
            if (error < least)
                (best, least) = ((scale, zero), error);
        }
        return best;
    }

    static double Error(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, float scale, byte zero, int bits)
    {
        double error = 0;
        for (int i = 0; i < values.Length; i++)
        {
            float miss = values[i] - scale * (UniformGrid.Code(values[i], scale, zero, bits) - zero);
            error += (double)miss * miss * (weights.IsEmpty ? 1 : weights[i]);
        }
        return error;
    }
}
