using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench;

/// <summary>Products of one row with packed weights larger than the caches, against reading as many bytes, measured in turn.</summary>
static class RowBench
{
    public static void Run(WorkerPool pool)
    {
        Comparison.Header(pool.Threads, "one row x packed [32768, 4096]^T, GB/s", "read");
        const int Inputs = 4096, Outputs = 32768;
        float[] w = ProductBench.Numbers(Inputs * Outputs), x = ProductBench.Numbers(Inputs), y = new float[Outputs];
        Measure(pool, "f32", PackedPanels.Float32(w, Outputs, Inputs), w, x, y);
        Half[] halves = Array.ConvertAll(w, v => (Half)v);
        Measure(pool, "f16", PackedPanels.Float16(halves, Outputs, Inputs), w, x, y);
        Measure(pool, "bf16", PackedPanels.BFloat16(Array.ConvertAll(w, v => (ushort)(BitConverter.SingleToUInt32Bits(v) >> 16)), Outputs, Inputs), w, x, y);
    }

    static void Measure<TDecoder>(WorkerPool pool, string name, PackedPanels<TDecoder> panels, float[] probe, float[] x, float[] y)
        where TDecoder : struct, IPanelDecoder
    {
        double bytes = (double)panels.PanelCount * panels.PanelBytes;
        Comparison.Report(
            name, () => bytes / 1e9 / Clock.Once(() => panels.Multiply(pool, x, 1, y)), () => probe.Length * 4.0 / 1e9 / Probes.ReadSeconds(pool, probe));
    }
}
