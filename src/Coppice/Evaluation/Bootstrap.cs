namespace Coppice.Evaluation;

/// <summary>The error of a score of a whole corpus that is no mean over its segments (Koehn 2004): the score of as many segments drawn with replacement, many times over.</summary>
static class Bootstrap
{
    /// <summary>Resamples in an error.</summary>
    public const int Draws = 1000;

    /// <summary>The standard deviation of the score over resamples, and where the middle 95 of 100 of them lie; no error of a single segment.</summary>
    /// <param name="segments">Numbers of each segment that add up to the corpus's.</param>
    /// <param name="score">The score of such a sum.</param>
    /// <param name="random">Draws segments.</param>
    public static (double StandardError, Interval Interval95) Measure(IReadOnlyList<long[]> segments, Func<long[], double> score, Random random)
    {
        if (segments.Count < 2)
            return (double.NaN, new Interval(double.NegativeInfinity, double.PositiveInfinity));
        double[] scores = new double[Draws];
        long[] sum = new long[segments[0].Length];
        for (int draw = 0; draw < Draws; draw++)
        {
            Array.Clear(sum);
            for (int i = 0; i < segments.Count; i++)
                Add(segments[random.Next(segments.Count)], sum);
            scores[draw] = score(sum);
        }
        Array.Sort(scores);
        double mean = scores.Average();
        return (Math.Sqrt(scores.Sum(value => (value - mean) * (value - mean)) / (Draws - 1)), new Interval(Statistics.Percentile(scores, 2.5), Statistics.Percentile(scores, 97.5)));
    }

    /// <summary>The same of how much higher one set of translations scores than another of the same segments: both are drawn together, so that what makes a segment hard for both counts for neither.</summary>
    /// <param name="first">Numbers of each segment in the one set.</param>
    /// <param name="second">The same of the other.</param>
    /// <param name="score">The score of a sum of either's numbers.</param>
    /// <param name="random">Draws segments.</param>
    public static (double Difference, double StandardError, Interval Interval95) Pair(IReadOnlyList<long[]> first, IReadOnlyList<long[]> second, Func<long[], double> score, Random random)
    {
        int width = first[0].Length;
        long[][] pairs = [.. first.Zip(second, (one, other) => (long[])[.. one, .. other])];
        (double error, Interval interval) = Measure(pairs, Difference, random);
        return (Difference(Sum(pairs)), error, interval);

        double Difference(long[] sum) => score(sum[..width]) - score(sum[width..]);
    }

    /// <summary>All segments' numbers, added up.</summary>
    public static long[] Sum(IReadOnlyList<long[]> segments)
    {
        long[] sum = new long[segments[0].Length];
        foreach (long[] segment in segments)
            Add(segment, sum);
        return sum;
    }

    static void Add(long[] segment, long[] sum)
    {
        for (int i = 0; i < sum.Length; i++)
            sum[i] += segment[i];
    }
}
