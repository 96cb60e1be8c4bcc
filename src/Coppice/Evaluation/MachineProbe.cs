using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;

namespace Coppice.Evaluation;

/// <summary>What the machine can do at this moment, on the threads of a pool: the ceilings that kernels are compared with. Measured anew at each call, since machines share.</summary>
public sealed unsafe class MachineProbe
{
    const int FmaSteps = 1 << 16, Chains = 12, Streams = 4;

    // Larger than any cache: 256 MB.
    const int ReadFloats = 64 << 20;

    // What a part is a multiple of, so that each of its streams begins on a line.
    static int Step => Streams * Vector512<float>.Count;

    readonly WorkerPool pool;
    readonly float[] memory; // keeps what start points to
    readonly float* start;

    /// <summary>Takes the memory that is read.</summary>
    public MachineProbe(WorkerPool pool)
    {
        this.pool = pool;
        const int Line = 64;
        memory = GC.AllocateUninitializedArray<float>(ReadFloats + Line / sizeof(float), pinned: true);
        start = (float*)(((nint)Unsafe.AsPointer(ref memory[0]) + Line - 1) & -Line);
        // Pages that were never written are one page of zeros in the caches.
        memory.AsSpan().Fill(1);
    }

    /// <summary>Bytes a second read from memory, each once, every thread its own part in four streams side by side.</summary>
    public double ReadBytesPerSecond()
    {
        ReadJob job = new() { Data = start, Length = ReadFloats / pool.Threads / Step * Step };
        long before = Stopwatch.GetTimestamp();
        pool.Run(pool.Threads, ref job);
        double seconds = Stopwatch.GetElapsedTime(before).TotalSeconds;
        GC.KeepAlive(this);
        return (double)sizeof(float) * job.Length * pool.Threads / seconds;
    }

    /// <summary>Floating-point operations a second of independent float32 fused multiply-adds in registers.</summary>
    public double PeakFlops()
    {
        long start = Stopwatch.GetTimestamp();
        double operations = MultiplyAdd(pool);
        return operations / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Multiplies and adds in registers on all threads; returns how many operations that were.</summary>
    internal static double MultiplyAdd(WorkerPool pool)
    {
        var job = new FmaJob();
        pool.Run(pool.Threads, ref job);
        return 2.0 * Vector512<float>.Count * Chains * FmaSteps * pool.Threads;
    }

    // Where results go, so that the compiler keeps the work.
    static volatile float sink;

    struct FmaJob : IJob
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Execute(int part)
        {
            Vector512<float> x = Vector512.Create(0.999f), y = Vector512.Create(1e-3f);
            Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
            for (int step = 0; step < FmaSteps; step++)
            {
                a = Vector512.FusedMultiplyAdd(a, x, y); b = Vector512.FusedMultiplyAdd(b, x, y); c = Vector512.FusedMultiplyAdd(c, x, y);
                d = Vector512.FusedMultiplyAdd(d, x, y); e = Vector512.FusedMultiplyAdd(e, x, y); f = Vector512.FusedMultiplyAdd(f, x, y);
                g = Vector512.FusedMultiplyAdd(g, x, y); h = Vector512.FusedMultiplyAdd(h, x, y); i = Vector512.FusedMultiplyAdd(i, x, y);
                j = Vector512.FusedMultiplyAdd(j, x, y); k = Vector512.FusedMultiplyAdd(k, x, y); l = Vector512.FusedMultiplyAdd(l, x, y);
            }
            sink = Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
        }
    }

    // Four streams side by side: from one alone the processor does not always fetch as fast as memory gives.
    struct ReadJob : IJob
    {
        public float* Data;
        public int Length;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Execute(int part)
        {
            int stream = Length / Streams;
            float* p = Data + (nint)part * Length, end = p + stream - Vector512<float>.Count;
            Vector512<float> a = default, b = a, c = a, d = a;
            for (; p <= end; p += Vector512<float>.Count)
            {
                a += Vector512.Load(p);
                b += Vector512.Load(p + stream);
                c += Vector512.Load(p + 2 * (nint)stream);
                d += Vector512.Load(p + 3 * (nint)stream);
            }
            sink = Vector512.Sum(a + b + c + d);
        }
    }
}
