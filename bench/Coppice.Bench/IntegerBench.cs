using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;

namespace Coppice.Bench;

/// <summary>Products of integer weights with activations in 8 bits: one row against reading the panels' bytes, 512 rows against the FMA peak.</summary>
static class IntegerBench
{
    public static void Run(WorkerPool pool)
    {
        const int Inputs = 4096, Outputs = 32768;
        float[] w = ProductBench.Numbers(Inputs * Outputs), probe = ProductBench.Numbers(64 << 20);
        (string, Weight)[] weights =
        [
            ("q8_0", BlockWeight.From<Q8_0>(Outputs, Inputs, w)),
            ("q4_0", BlockWeight.From<Q4_0>(Outputs, Inputs, w)),
        ];
        Comparison.Header(pool.Threads, "one int8 row x [32768, 4096]^T, GB/s of stored bytes", "read");
        foreach (var (name, weight) in weights)
            Measure(pool, name, weight, probe, 1);
        Comparison.Header(pool.Threads, "one int8 row x [256, 4096]^T, in cache, GB/s of stored bytes", "read");
        foreach (var (name, weight) in weights)
            Measure(pool, name, weight.Reorder([.. Enumerable.Range(0, 256)]), probe, 1);
        foreach (int rows in new[] { 2, 4, 8, 32, 512 })
        {
            Comparison.Header(pool.Threads, $"{rows} int8 rows x [4096, 4096]^T, GOP/s", "fma");
            foreach (var (name, weight) in weights)
                Measure(pool, name, weight.Reorder([.. Enumerable.Range(0, 4096)]), probe, rows);
        }
    }

    static void Measure(WorkerPool pool, string name, Weight weight, float[] probe, int count)
    {
        Int8Rows rounded = new();
        float[] x = ProductBench.Numbers(count * weight.Columns), y = new float[count * weight.Rows];
        void Product()
        {
            rounded.Fill(pool, x, count, weight.Columns);
            weight.Multiply(pool, rounded, new Rows(y, count, weight.Rows));
        }
        if (count == 1)
            Comparison.Report(name, () => Comparison.Rate(weight.ByteCount, 1e8, Product), () => probe.Length * 4.0 / 1e9 / Probes.ReadSeconds(pool, probe));
        else
            Comparison.Report(name, () => Comparison.Rate(2.0 * count * weight.Rows * weight.Columns, 1e8, Product), () => Probes.PeakGigaflops(pool));
    }
}
