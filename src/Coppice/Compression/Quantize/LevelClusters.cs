using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Levels that a matrix's own numbers are nearest to, each number divided by its group's largest magnitude: k-means in one dimension (Lloyd 1982).</summary>
static class LevelClusters
{
    // Numbers go to bins between -1 and 1, so that a round costs the same for every matrix.
    const int Bins = 1 << 12, MostRounds = 100;

    /// <summary>2^bits levels for weights [rows, columns]. A number counts by the square of its group's largest magnitude and its column's <paramref name="importance"/>. Where there is a mask, what it prunes does not count and 0 is a level.</summary>
    public static LevelTable Fit(ReadOnlySpan<float> weights, int columns, int groupSize, int bits, ReadOnlySpan<float> importance, bool[]? mask)
    {
        int size = groupSize switch { IntWeight.WholeRow => columns, Grid.WholeMatrix => weights.Length, _ => groupSize };
        double[] mass = new double[Bins], sum = new double[Bins];
        for (int start = 0; start < weights.Length; start += size)
        {
            ReadOnlySpan<float> group = weights.Slice(start, size);
            float largest = 0;
            for (int i = 0; i < size; i++)
                if (mask is null || mask[start + i])
                    largest = Math.Max(largest, Math.Abs(group[i]));
            for (int i = 0; largest > 0 && i < size; i++)
            {
                if (mask is not null && !mask[start + i])
                    continue;
                double value = group[i] / (double)largest, counts = (double)largest * largest * (importance.IsEmpty ? 1 : importance[(start + i) % columns]);
                int bin = Math.Min((int)((value + 1) / 2 * Bins), Bins - 1);
                mass[bin] += counts;
                sum[bin] += counts * value;
            }
        }
        return new($"nonuniform{bits}", Levels(mass, sum, 1 << bits, keepsZero: mask is not null), range: 1);
    }

    /// <summary>Lloyd's algorithm on bins, from levels as dense as the cube root of the numbers' own density (Panter and Dite 1951). A level that nothing is near stays where it is.</summary>
    public static float[] Levels(double[] mass, double[] sum, int count, bool keepsZero)
    {
        double[] levels = Start(mass, count);
        double[] total = new double[count], weighted = new double[count];
        for (int round = 0; round < MostRounds; round++)
        {
            if (keepsZero)
                levels[Nearest(levels, 0)] = 0;
            total.AsSpan().Clear();
            weighted.AsSpan().Clear();
            for (int bin = 0; bin < mass.Length; bin++)
                if (mass[bin] > 0)
                {
                    int level = Nearest(levels, sum[bin] / mass[bin]);
                    total[level] += mass[bin];
                    weighted[level] += sum[bin];
                }
            double moved = 0;
            for (int i = 0; i < count; i++)
                if (total[i] > 0 && !(keepsZero && levels[i] == 0))
                {
                    double centre = weighted[i] / total[i];
                    moved = Math.Max(moved, Math.Abs(centre - levels[i]));
                    levels[i] = centre;
                }
            if (moved < 1e-6)
                break;
        }
        return Array.ConvertAll(levels, level => (float)level);
    }

    static double[] Start(double[] mass, int count)
    {
        double all = mass.Sum(Math.Cbrt), reached = 0;
        double[] levels = new double[count];
        int next = 0;
        for (int bin = 0; bin < mass.Length; bin++)
        {
            reached += Math.Cbrt(mass[bin]);
            while (next < count && reached >= all * (next + 0.5) / count && all > 0)
                levels[next++] = 2.0 * (bin + 0.5) / mass.Length - 1;
        }
        return levels;
    }

    // Levels ascend, as they do through all rounds.
    static int Nearest(double[] levels, double value)
    {
        int at = Array.BinarySearch(levels, value);
        if (at >= 0)
            return at;
        at = ~at;
        return at == 0 ? 0 : at == levels.Length ? at - 1 : value - levels[at - 1] <= levels[at] - value ? at - 1 : at;
    }
}
