using BenchmarkDotNet.Attributes;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench.Kernels;

/// <summary>What stands between a training step's products, on [2048, 256]: times are of one element. The limit is the memory; a kernel whose numbers are in the caches can pass it.</summary>
public class FusedBenchmarks : KernelBenchmark
{
    const int Rows = 2048, Width = 256, HeadWidth = 64, Elements = Rows * Width, Float = sizeof(float);

    readonly float[] w = Numbers(Width), dw = new float[Width], inverse = new float[Rows];
    readonly int[] positions = [.. Enumerable.Range(0, Rows).Select(i => i % Width)];
    float[] a = [], b = [], c = [], d = [], e = [];
    ushort[] narrow = [];

    internal override Limit Limit => Limit.Read;

    /// <summary>Bytes read and written an element.</summary>
    internal override double Work(string method) => method switch
    {
        nameof(RmsNormForward) or nameof(Rotary) => 2 * Float,
        nameof(RmsNormBackward) => 4 * Float,
        nameof(GateForward) => 3 * Float,
        nameof(GateBackward) => 5 * Float,
        nameof(AdamW) => 7 * Float,
        _ => Float + sizeof(ushort),
    };

    private protected override void Prepare() => (a, b, c, d, e, narrow) = (Numbers(Elements), Numbers(Elements), Numbers(Elements), new float[Elements], new float[Elements], new ushort[Elements]);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void RmsNormForward() => RmsNorm.Forward(Pool, a, w, 1e-5f, inverse, d);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void RmsNormBackward() => RmsNorm.Backward(Pool, a, w, inverse, b, d, dw);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void GateForward() => Gate.Forward<Silu>(Pool, a, b, d);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void GateBackward() => Gate.Backward<Silu>(Pool, a, b, c, d, Accumulate.Overwrite, e, Accumulate.Overwrite);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void Rotary() => Tensors.Simd.Rotary.Turn(
        Pool, a, positions, b.AsSpan(0, Width * HeadWidth / 2), c.AsSpan(0, Width * HeadWidth / 2), HeadWidth, HeadWidth, RotaryDirection.Forward, Accumulate.Overwrite, d);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void AdamW() => Tensors.Simd.AdamW.Step(Pool, a, new AdamWSettings(1e-3f), 1, 1, b, d, e);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void NarrowToBFloat16() => BFloat16.Narrow(Pool, a, narrow);

    [Benchmark(OperationsPerInvoke = Elements)]
    public void WidenFromBFloat16() => BFloat16.Widen(Pool, narrow, d);
}
