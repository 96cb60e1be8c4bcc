using Coppice.Tensors;
using Coppice.Tensors.Simd;
using CrossEntropy = Coppice.Tensors.Simd.CrossEntropy;

namespace Coppice.Bench;

/// <summary>Small kernels at a training step's size, in nanoseconds an element.</summary>
static class FusedBench
{
    public static void Run(WorkerPool pool)
    {
        Console.WriteLine($"\n{pool.Threads} thread(s), {"small kernels, ns an element",-40}{"median",8}{"best",8}");
        const int Rows = 2048, Width = 256, Classes = 8192;
        float[] x = ProductBench.Numbers(Rows * Width), w = ProductBench.Numbers(Width), y = new float[x.Length], dx = new float[x.Length], dw = new float[Width], r = new float[Rows];
        Report("norm forward", x.Length, () => RmsNorm.Forward(pool, x, w, 1e-5f, r, y));
        Report("norm backward", x.Length, () => RmsNorm.Backward(pool, x, w, r, y, dx, dw));
        Report("gate forward", x.Length, () => Gate.Forward<Silu>(pool, x, y, dx));
        Report("gate backward", x.Length, () => Gate.Backward<Silu>(pool, x, y, dx, dx, Accumulate.Add, y, Accumulate.Add));
        int[] positions = [.. Enumerable.Range(0, Rows).Select(i => i % 256)];
        Report("rotary", x.Length, () => Rotary.Turn(pool, x, positions, x.AsSpan(0, 256 * 32), x.AsSpan(0, 256 * 32), 64, 64, RotaryDirection.Forward, Accumulate.Overwrite, y));
        float[] logits = ProductBench.Numbers(256 * Classes);
        double[] losses = new double[256];
        Report("cross-entropy", logits.Length, () => CrossEntropy.LossAndGradient(pool, logits, new int[256], 1, losses));
        float[] p = ProductBench.Numbers(5_000_000), m = new float[p.Length], v = new float[p.Length];
        Report("AdamW", p.Length, () => AdamW.Step(pool, p, new AdamWSettings(1e-3f), 1, 1, p, m, v));
    }

    static void Report(string name, int elements, Action action)
    {
        action();
        double[] seconds = [.. Enumerable.Range(0, 15).Select(_ => Clock.Once(action) / elements * 1e9)];
        Console.WriteLine($"  {name,-51}{Clock.Median(seconds),8:F3}{seconds.Min(),8:F3}");
    }
}
