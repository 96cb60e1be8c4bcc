using System.Diagnostics;
using BenchmarkDotNet.Attributes;
using Coppice.Tensors;

namespace Coppice.Bench.Kernels;

/// <summary>What it costs to start a job on every thread and to wait for all of them, hot, with short work between, and beside Parallel.For.</summary>
public class DispatchBenchmarks
{
    const int JobMicroseconds = 20, PauseMicroseconds = 5;

    ParallelOptions options = new();

    [ParamsSource(nameof(ThreadCounts))]
    public int Threads { get; set; } = 1;

    public static IEnumerable<int> ThreadCounts => KernelBenchmark.ThreadCounts;

    WorkerPool Pool => Machine.With(Threads).Pool;

    [GlobalSetup]
    public void Setup() => options = new ParallelOptions { MaxDegreeOfParallelism = Threads };

    [Benchmark]
    public void EmptyJob()
    {
        Nothing job = default;
        Pool.Run(Threads, ref job);
    }

    /// <summary>To be compared with 25 microseconds.</summary>
    [Benchmark]
    public void JobOf20AfterPauseOf5Microseconds()
    {
        Busy(PauseMicroseconds);
        BusyJob job = default;
        Pool.Run(Threads, ref job);
    }

    [Benchmark]
    public void ParallelFor() => Parallel.For(0, Threads, options, static _ => { });

    static void Busy(int microseconds)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start).TotalMicroseconds < microseconds;)
        {
        }
    }

    struct BusyJob : IJob
    {
        public readonly void Execute(int part) => Busy(JobMicroseconds);
    }
}

/// <summary>The same after a pause that lets the threads sleep.</summary>
[InvocationCount(1)]
[IterationCount(31)]
public class SleepingDispatchBenchmarks
{
    [ParamsSource(nameof(ThreadCounts))]
    public int Threads { get; set; } = 1;

    public static IEnumerable<int> ThreadCounts => KernelBenchmark.ThreadCounts;

    [IterationSetup]
    public void Sleep() => Thread.Sleep(2);

    [Benchmark]
    public void EmptyJob()
    {
        Nothing job = default;
        Machine.With(Threads).Pool.Run(Threads, ref job);
    }
}

/// <summary>A job without work.</summary>
struct Nothing : IJob
{
    public readonly void Execute(int part)
    {
    }
}
