using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench;

/// <summary>Attention of a training step against the FMA peak. Only pairs that the mask allows count as work.</summary>
static class AttentionBench
{
    public static void Run(WorkerPool pool)
    {
        Comparison.Header(pool.Threads, "attention, GFLOP/s", "peak");
        Training(pool, new(4, 4, 64), sequences: 8, length: 256);
        Training(pool, new(8, 2, 32), sequences: 8, length: 256);
        Training(pool, new(8, 2, 64), sequences: 1, length: 1024);
    }

    static void Training(WorkerPool pool, AttentionShape shape, int sequences, int length)
    {
        int tokens = sequences * length;
        float[] q = ProductBench.Numbers(tokens * shape.QueryStride), k = ProductBench.Numbers(tokens * shape.KeyStride), v = ProductBench.Numbers(tokens * shape.KeyStride);
        float[] y = new float[q.Length], logSums = new float[tokens * shape.Heads], dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
        Sequence[] runs = [.. Enumerable.Range(0, sequences).Select(i => new Sequence(i * length, length))];
        double pairs = sequences * (length + 1.0) * length / 2 * shape.Heads * shape.Width;
        string name = $"T {length}, {shape.Heads}/{shape.KeyValueHeads} heads of {shape.Width}";
        Report(pool, $"forward {name}", 4 * pairs, () => CausalAttention.Forward(pool, q, k, v, runs, shape, y, logSums));
        Report(pool, $"backward {name}", 10 * pairs, () => CausalAttention.Backward(pool, q, k, v, y, q, logSums, runs, shape, dq, dk, dv, new(Accumulate.Overwrite, Accumulate.Overwrite, Accumulate.Overwrite)));
    }

    static void Report(WorkerPool pool, string name, double work, Action action) =>
        Comparison.Report(name, () => Comparison.Rate(work, 5e7, action), () => Probes.PeakGigaflops(pool));
}
