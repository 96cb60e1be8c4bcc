using System.Diagnostics;

namespace Coppice.Bench;

/// <summary>Seconds of short work: with one thread of processor time, which other programs do not disturb, with more of wall-clock time.</summary>
static class Clock
{
    /// <summary>Threads that work at a time.</summary>
    public static int Threads { get; set; } = 1;

    public static double Once(Action work)
    {
        if (Threads == 1)
        {
            TimeSpan before = Environment.CpuUsage.TotalTime;
            work();
            return (Environment.CpuUsage.TotalTime - before).TotalSeconds;
        }
        long start = Stopwatch.GetTimestamp();
        work();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    public static double Best(int times, Action work) => Enumerable.Range(0, times).Min(_ => Once(work));

    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}
