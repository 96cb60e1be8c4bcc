using BenchmarkDotNet.Attributes;
using Coppice.Tensors.Simd;

namespace Coppice.Bench.Kernels;

/// <summary>Loss and gradient of 256 rows over 8,192 classes, in place: times are of one logit.</summary>
public class CrossEntropyBenchmarks : KernelBenchmark
{
    const int Rows = 256, Classes = 8192;

    readonly int[] targets = new int[Rows];
    readonly double[] losses = new double[Rows];
    float[] logits = [];

    internal override Limit Limit => Limit.Read;

    internal override double Work(string method) => 2 * sizeof(float);

    private protected override void Prepare() => logits = Numbers(Rows * Classes);

    [Benchmark(OperationsPerInvoke = Rows * Classes)]
    public void LossAndGradient() => CrossEntropy.LossAndGradient(Pool, logits, targets, 1, losses);
}
