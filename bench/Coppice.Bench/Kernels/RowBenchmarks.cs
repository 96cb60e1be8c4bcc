using BenchmarkDotNet.Attributes;
using Coppice.Tensors.Simd;

namespace Coppice.Bench.Kernels;

/// <summary>Products of one row and of a few with packed weights [32768, 4096], larger than the caches.</summary>
public class RowBenchmarks : KernelBenchmark
{
    const int Inputs = 4096, Outputs = 32768;

    float[] x = [], y = [];
    Action<int> multiply = _ => { };

    [Params("f32", "f16", "bf16")]
    public string Storage { get; set; } = "f32";

    [Params(1, 2, 4, 8, 12, 16)]
    public int Rows { get; set; } = 1;

    internal override Limit Limit => Limit.Read;

    internal override double Work(string method) => (double)Inputs * Outputs * (Storage == "f32" ? sizeof(float) : sizeof(ushort));

    private protected override void Prepare()
    {
        (x, y) = (Numbers(Rows * Inputs), new float[Rows * Outputs]);
        float[] w = Numbers(Inputs * Outputs);
        switch (Storage)
        {
            case "f32":
                PackedPanels<Float32Panels> floats = PackedPanels.Float32(Pool, w, Outputs, Inputs);
                multiply = rows => floats.Multiply(Pool, x, rows, y);
                break;
            case "f16":
                PackedPanels<Float16Panels> halves = PackedPanels.Float16(Pool, Array.ConvertAll(w, v => BitConverter.HalfToUInt16Bits((Half)v)), Outputs, Inputs);
                multiply = rows => halves.Multiply(Pool, x, rows, y);
                break;
            default:
                PackedPanels<BFloat16Panels> brain = PackedPanels.BFloat16(Pool, Array.ConvertAll(w, v => (ushort)(BitConverter.SingleToUInt32Bits(v) >> 16)), Outputs, Inputs);
                multiply = rows => brain.Multiply(Pool, x, rows, y);
                break;
        }
    }

    [Benchmark]
    public void RowsTimesPacked() => multiply(Rows);
}
