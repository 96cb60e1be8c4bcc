using System.Diagnostics;

namespace Coppice.Cli.Bench;

/// <summary>Rates of work and of its ceiling, measured in turn so that what else the machine does falls on both; the median of each.</summary>
static class Turns
{
    // Until the compiler has brought every method to its last tier.
    const double WarmUpSeconds = 0.3;

    /// <summary>How fast, and how fast it could be.</summary>
    public readonly record struct Rates(double Ours, double Ceiling)
    {
        public double Share => Ours / Ceiling;
    }

    public static Rates Measure(int rounds, double work, Action action, Func<double> ceiling, CancellationToken cancel)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start).TotalSeconds < WarmUpSeconds;)
            action();
        // Short work is repeated to last some milliseconds.
        int repeats = Math.Max(1, (int)(0.005 / Seconds(action, 1)));
        double[] ours = new double[rounds], ceilings = new double[rounds];
        for (int i = 0; i < rounds; i++)
        {
            cancel.ThrowIfCancellationRequested();
            ceilings[i] = ceiling();
            ours[i] = work * repeats / Seconds(action, repeats);
        }
        return new Rates(Median(ours), Median(ceilings));
    }

    public static double Median(double[] values) => Percentile(values, 50);

    public static double Percentile(double[] values, int percent) => values.Order().ElementAt((int)((long)percent * (values.Length - 1) / 100));

    static double Seconds(Action action, int times)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < times; i++)
            action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
