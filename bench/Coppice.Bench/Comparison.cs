using System.Diagnostics;

namespace Coppice.Bench;

/// <summary>Prints a kernel's rate beside a ceiling that is measured in turn with it: medians, and the best of each for a machine that others use too.</summary>
static class Comparison
{
    const int Rounds = 15;

    public static void Header(int threads, string unit, string ceiling) =>
        Console.WriteLine($"\n{threads} thread(s), {unit,-40}{"median",8}{ceiling,8}{"share",7}{"best",8}{ceiling,8}{"share",7}");

    public static void Report(string name, Func<double> ours, Func<double> ceiling)
    {
        // Until the compiler has brought every method to its last tier.
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start).TotalSeconds < 0.5;)
            ours();
        List<double> rates = [], ceilings = [];
        for (int i = 0; i < Rounds; i++)
        {
            ceilings.Add(ceiling());
            rates.Add(ours());
        }
        double median = Clock.Median(rates), top = Clock.Median(ceilings);
        Console.WriteLine($"  {name,-51}{median,8:F1}{top,8:F1}{median / top,7:P0}{rates.Max(),8:F1}{ceilings.Max(),8:F1}{rates.Max() / ceilings.Max(),7:P0}");
    }

    /// <summary>The rate of work that is repeated to last some tenths of a millisecond.</summary>
    public static double Rate(double work, double least, Action action)
    {
        int repeats = Math.Max(1, (int)(least / work));
        return work * repeats / 1e9 / Clock.Once(() =>
        {
            for (int i = 0; i < repeats; i++)
                action();
        });
    }
}
