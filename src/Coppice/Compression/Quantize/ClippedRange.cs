using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Ranges that leave a group's largest numbers out: where they end, as a magnitude. Numbers that are 0 do not count: they are on every grid.</summary>
static class ClippedRange
{
    // A histogram has no more bins than numbers, and of the ranges that end at one of its bins so many are tried.
    const int MostBins = 2048, Tries = 64;

    // What a level counts that only clipped numbers go to: nothing would make the divergence infinite.
    const double Empty = 1e-4;

    /// <summary>The magnitude that <paramref name="percent"/> of the numbers do not exceed: the nearest rank.</summary>
    public static float Percentile(ReadOnlySpan<float> values, double percent)
    {
        float[] magnitudes = Magnitudes(values);
        Array.Sort(magnitudes);
        return magnitudes.Length == 0 ? 0 : magnitudes[Math.Clamp((int)Math.Ceiling(percent / 100 * magnitudes.Length) - 1, 0, magnitudes.Length - 1)];
    }

    /// <summary>
    /// TensorRT's entropy calibration (Migacz 2017): the range whose histogram, with what it clips in its last bin, differs least in KL divergence from the same once every bin has gone to the level that it rounds to,
    /// each level's count, without what is clipped, spread evenly over the bins that are not empty.
    /// </summary>
    /// <param name="values">Numbers that share a range.</param>
    /// <param name="levelOf">The level, any number that tells it from others, of a magnitude from 0 to 1, where 1 is the range's end.</param>
    public static float Entropy(ReadOnlySpan<float> values, Func<float, int> levelOf)
    {
        float[] magnitudes = Magnitudes(values);
        if (magnitudes.Length == 0)
            return 0;
        float largest = magnitudes.Max();
        int bins = Math.Clamp(magnitudes.Length, 16, MostBins);
        double[] histogram = new double[bins];
        foreach (float magnitude in magnitudes)
            histogram[Math.Min((int)(magnitude / largest * bins), bins - 1)]++;
        int best = bins;
        double least = double.PositiveInfinity;
        // The largest range first: of equal ones it stays.
        for (int tried = 0; tried < Tries; tried++)
        {
            int end = bins - tried * bins / (Tries + Tries / 4);
            double divergence = Divergence(histogram, end, levelOf);
            if (divergence < least)
                (best, least) = (end, divergence);
        }
        return largest * best / bins;
    }

    static double Divergence(double[] histogram, int end, Func<float, int> levelOf)
    {
        double clipped = 0, total = 0;
        for (int bin = end; bin < histogram.Length; bin++)
            clipped += histogram[bin];
        Dictionary<int, (double Count, int Bins)> levels = [];
        int[] level = new int[end];
        for (int bin = 0; bin < end; bin++)
        {
            level[bin] = levelOf((bin + 0.5f) / end);
            (double count, int used) = levels.GetValueOrDefault(level[bin]);
            levels[level[bin]] = (count + histogram[bin], used + (Kept(bin) > 0 ? 1 : 0));
            total += histogram[bin];
        }
        double divergence = 0;
        for (int bin = 0; bin < end; bin++)
            if (Kept(bin) is > 0 and double kept)
            {
                (double count, int used) = levels[level[bin]];
                double p = kept / (total + clipped), q = Math.Max(count, Empty) / used / Math.Max(total, Empty);
                divergence += p * Math.Log(p / q);
            }
        return divergence;

        double Kept(int bin) => histogram[bin] + (bin == end - 1 ? clipped : 0);
    }

    static float[] Magnitudes(ReadOnlySpan<float> values)
    {
        List<float> magnitudes = new(values.Length);
        foreach (float value in values)
            if (value != 0)
                magnitudes.Add(Math.Abs(value));
        return [.. magnitudes];
    }
}
