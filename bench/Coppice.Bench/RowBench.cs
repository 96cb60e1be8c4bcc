using Coppice.Evaluation;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench;

/// <summary>Products of one row and of a few with packed weights larger than the caches, against reading as many bytes, measured in turn.</summary>
static class RowBench
{
    public static void Run(WorkerPool pool)
    {
        Comparison.Header(pool.Threads, "rows x packed [32768, 4096]^T, GB/s", "read");
        const int Inputs = 4096, Outputs = 32768;
        MachineProbe probe = new(pool);
        float[] w = ProductBench.Numbers(Inputs * Outputs);
        Measure(pool, "f32", PackedPanels.Float32(pool, w, Outputs, Inputs), probe);
        ushort[] halves = Array.ConvertAll(w, v => BitConverter.HalfToUInt16Bits((Half)v));
        Measure(pool, "f16", PackedPanels.Float16(pool, halves, Outputs, Inputs), probe);
        Measure(pool, "bf16", PackedPanels.BFloat16(pool, Array.ConvertAll(w, v => (ushort)(BitConverter.SingleToUInt32Bits(v) >> 16)), Outputs, Inputs), probe);
    }

    static void Measure<TDecoder>(WorkerPool pool, string name, PackedPanels<TDecoder> panels, MachineProbe probe) where TDecoder : struct, IPanelDecoder
    {
        double bytes = (double)panels.PanelCount * panels.PanelBytes;
        foreach (int rows in new[] { 1, 2, 4, 8, 12, 16 })
        {
            float[] x = ProductBench.Numbers(rows * panels.Inputs), y = new float[rows * panels.Outputs];
            Comparison.Report(
                $"{name}, {rows} row{(rows == 1 ? "" : "s")}", () => bytes / 1e9 / Clock.Once(() => panels.Multiply(pool, x, rows, y)), () => Probes.ReadGigabytes(probe));
        }
    }
}
