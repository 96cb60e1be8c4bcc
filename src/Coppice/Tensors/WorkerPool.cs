using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Coppice.Tensors;

/// <summary>Work that falls into numbered parts which do not depend on one another.</summary>
public interface IJob
{
    /// <summary>Does one part; called once for each part, on any thread of the pool.</summary>
    void Execute(int part);
}

/// <summary>
/// A fixed set of threads for short parallel work. Part p always runs on thread p mod <see cref="Threads"/>, and the caller is thread 0. An idle
/// thread spins for some tens of microseconds, so that consecutive kernels start at once, and then sleeps. Running a job allocates nothing.
/// </summary>
public sealed unsafe class WorkerPool : IDisposable
{
    const int SpinMicroseconds = 40;

    readonly Worker[] workers;
    int busy;

    // The job in hand: a pointer into the caller's stack, which stays there until all workers are done.
    void* job;
    delegate*<void*, int, void> execute;
    int parts;
    int running;
    ExceptionDispatchInfo? failure;

    /// <summary>Starts <paramref name="threads"/> - 1 threads; the caller of <see cref="Run"/> is the remaining one.</summary>
    /// <param name="threads">1 to 1024.</param>
    public WorkerPool(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 1024);
        workers = new Worker[threads - 1];
        for (int i = 0; i < workers.Length; i++)
            workers[i] = new Worker(this, i + 1);
    }

    /// <summary>Threads that take part in a job, the caller included.</summary>
    public int Threads => workers.Length + 1;

    /// <summary>
    /// Executes parts 0 to <paramref name="parts"/> - 1 and returns when all are done. A call from within a job, or while another
    /// thread's job runs, executes all its parts on the calling thread.
    /// </summary>
    /// <remarks>If parts throw, the first exception to arrive is thrown here once every thread has stopped.</remarks>
    public void Run<TJob>(int parts, ref TJob job) where TJob : struct, IJob, allows ref struct
    {
        ArgumentOutOfRangeException.ThrowIfNegative(parts);
        int helpers = Math.Min(parts, Threads) - 1;
        if (helpers <= 0 || Interlocked.CompareExchange(ref busy, 1, 0) != 0)
        {
            for (int part = 0; part < parts; part++)
                job.Execute(part);
            return;
        }

        try
        {
            TJob local = job;
            Start(helpers, parts, Unsafe.AsPointer(ref local), &Execute<TJob>);
            ExecuteParts(0);
            Join();
            job = local;
            if (failure is { } first)
            {
                failure = null;
                first.Throw();
            }
        }
        finally
        {
            this.job = null;
            Volatile.Write(ref busy, 0);
        }
    }

    /// <summary>Ends the threads. No job may be running.</summary>
    public void Dispose()
    {
        foreach (var worker in workers)
            worker.End();
    }

    static void Execute<TJob>(void* job, int part) where TJob : struct, IJob, allows ref struct => Unsafe.AsRef<TJob>(job).Execute(part);

    void Start(int helpers, int parts, void* job, delegate*<void*, int, void> execute)
    {
        this.job = job;
        this.execute = execute;
        this.parts = parts;
        Volatile.Write(ref running, helpers);
        for (int i = 0; i < helpers; i++)
            workers[i].Wake();
    }

    void ExecuteParts(int thread)
    {
        try
        {
            for (int part = thread; part < parts; part += Threads)
                execute(job, part);
        }
        catch (Exception exception)
        {
            Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(exception), null);
        }
    }

    void Finish()
    {
        if (Interlocked.Decrement(ref running) != 0)
            return;
        lock (workers)
            Monitor.Pulse(workers);
    }

    void Join()
    {
        if (Spin.Until(ref running, 0, SpinMicroseconds))
            return;
        lock (workers)
        {
            while (Volatile.Read(ref running) != 0)
                Monitor.Wait(workers);
        }
    }

    /// <summary>Waiting for a number to change without giving up the core.</summary>
    static class Spin
    {
        public static bool Until(ref int location, int value, int microseconds)
        {
            long end = 0;
            for (int i = 0; Volatile.Read(ref location) != value; i++)
            {
                Thread.SpinWait(1);
                if ((i & 15) != 15)
                    continue;
                long now = System.Diagnostics.Stopwatch.GetTimestamp();
                if (end == 0)
                    end = now + microseconds * System.Diagnostics.Stopwatch.Frequency / 1_000_000;
                else if (now > end)
                    return false;
            }
            return true;
        }
    }

    /// <summary>One thread and the flag that sets it going.</summary>
    sealed class Worker
    {
        const int Idle = 0, Go = 1, Stop = 2;

        readonly WorkerPool pool;
        readonly int index;
        readonly Thread thread;
        readonly object gate = new();
        int signal;
        int asleep;

        public Worker(WorkerPool pool, int index)
        {
            this.pool = pool;
            this.index = index;
            thread = new Thread(Loop) { IsBackground = true, Name = $"coppice worker {index}" };
            thread.Start();
        }

        public void Wake() => Send(Go);

        public void End()
        {
            Send(Stop);
            thread.Join();
        }

        void Send(int value)
        {
            // A full fence on both sides: either the worker sees the signal before it sleeps, or we see that it sleeps.
            Interlocked.Exchange(ref signal, value);
            if (Volatile.Read(ref asleep) == 0)
                return;
            lock (gate)
                Monitor.Pulse(gate);
        }

        void Loop()
        {
            while (Next() != Stop)
            {
                Volatile.Write(ref signal, Idle);
                pool.ExecuteParts(index);
                pool.Finish();
            }
        }

        int Next()
        {
            if (!Spin.Until(ref signal, Go, SpinMicroseconds))
            {
                lock (gate)
                {
                    Interlocked.Exchange(ref asleep, 1);
                    while (Volatile.Read(ref signal) == Idle)
                        Monitor.Wait(gate);
                    Volatile.Write(ref asleep, 0);
                }
            }
            return Volatile.Read(ref signal);
        }
    }
}
