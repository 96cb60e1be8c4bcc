using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Tensors;

namespace Coppice.Bench;

/// <summary>What the machine can do at this moment: the ceilings that kernels are compared with.</summary>
static unsafe class Probes
{
    const int Steps = 1 << 16, Chains = 12;

    /// <summary>GFLOP/s of independent fused multiply-adds in registers, on every thread of the pool.</summary>
    public static double PeakGigaflops(WorkerPool pool)
    {
        var job = new FmaJob();
        double seconds = Clock.Best(3, () => pool.Run(pool.Threads, ref job));
        return 2.0 * Vector512<float>.Count * Chains * Steps * pool.Threads / seconds / 1e9;
    }

    /// <summary>Seconds to read <paramref name="data"/> once, split among the threads of the pool.</summary>
    public static double ReadSeconds(WorkerPool pool, float[] data)
    {
        fixed (float* start = data)
        {
            var job = new ReadJob { Data = start, Length = data.Length / pool.Threads };
            return Clock.Once(() => pool.Run(pool.Threads, ref job));
        }
    }

    struct FmaJob : IJob
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Execute(int part)
        {
            Vector512<float> x = Vector512.Create(0.999f), y = Vector512.Create(1e-3f);
            Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
            for (int step = 0; step < Steps; step++)
            {
                a = Vector512.FusedMultiplyAdd(a, x, y); b = Vector512.FusedMultiplyAdd(b, x, y); c = Vector512.FusedMultiplyAdd(c, x, y);
                d = Vector512.FusedMultiplyAdd(d, x, y); e = Vector512.FusedMultiplyAdd(e, x, y); f = Vector512.FusedMultiplyAdd(f, x, y);
                g = Vector512.FusedMultiplyAdd(g, x, y); h = Vector512.FusedMultiplyAdd(h, x, y); i = Vector512.FusedMultiplyAdd(i, x, y);
                j = Vector512.FusedMultiplyAdd(j, x, y); k = Vector512.FusedMultiplyAdd(k, x, y); l = Vector512.FusedMultiplyAdd(l, x, y);
            }
            Clock.Sink = Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
        }
    }

    struct ReadJob : IJob
    {
        public float* Data;
        public int Length;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Execute(int part)
        {
            float* p = Data + (nint)part * Length, end = p + Length - 64;
            Vector512<float> a = default, b = a, c = a, d = a;
            for (; p <= end; p += 64)
            {
                a += Vector512.Load(p);
                b += Vector512.Load(p + 16);
                c += Vector512.Load(p + 32);
                d += Vector512.Load(p + 48);
            }
            Clock.Sink = Vector512.Sum(a + b + c + d);
        }
    }
}
