using System.Diagnostics;
using Coppice.Tensors;

namespace Coppice.Bench;

/// <summary>What it costs to start a job on every thread and to wait for all of them: hot, after a pause that lets them sleep, and Parallel.For beside it.</summary>
static class DispatchBench
{
    const int Runs = 2000, Rounds = 31;

    public static void Run(WorkerPool pool)
    {
        Console.WriteLine($"\n{pool.Threads} thread(s), dispatch and join of an empty job, microseconds: median, least");
        Report("hot", () => Hot(pool));
        Report("a job of 20 us and a pause of 5 us in turn, beyond the 20", () => Mixed(pool));
        Report("after 2 ms of sleep", () => Cold(pool));
        ParallelOptions options = new() { MaxDegreeOfParallelism = pool.Threads };
        Report("Parallel.For", () => Timed(() => Parallel.For(0, pool.Threads, options, static _ => { })));
    }

    static void Report(string name, Func<double> microseconds)
    {
        for (int i = 0; i < 5; i++)
            microseconds();
        double[] rounds = [.. Enumerable.Range(0, Rounds).Select(_ => microseconds())];
        Console.WriteLine($"  {name,-60}{Clock.Median(rounds),10:F3}{rounds.Min(),10:F3}");
    }

    static double Timed(Action work)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Runs; i++)
            work();
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds / Runs;
    }

    static double Hot(WorkerPool pool) => Timed(() =>
    {
        Nothing job = default;
        pool.Run(pool.Threads, ref job);
    });

    static double Mixed(WorkerPool pool)
    {
        double total = 0;
        for (int i = 0; i < Runs / 10; i++)
        {
            Busy(5);
            long start = Stopwatch.GetTimestamp();
            BusyJob job = default;
            pool.Run(pool.Threads, ref job);
            total += Stopwatch.GetElapsedTime(start).TotalMicroseconds - 20;
        }
        return total / (Runs / 10);
    }

    static double Cold(WorkerPool pool)
    {
        double total = 0;
        for (int i = 0; i < 20; i++)
        {
            Thread.Sleep(2);
            long start = Stopwatch.GetTimestamp();
            Nothing job = default;
            pool.Run(pool.Threads, ref job);
            total += Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }
        return total / 20;
    }

    static void Busy(int microseconds)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start).TotalMicroseconds < microseconds;)
        {
        }
    }

    struct Nothing : IJob
    {
        public readonly void Execute(int part)
        {
        }
    }

    struct BusyJob : IJob
    {
        public readonly void Execute(int part) => Busy(20);
    }
}
