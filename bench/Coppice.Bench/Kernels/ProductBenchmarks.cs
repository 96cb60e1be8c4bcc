using BenchmarkDotNet.Attributes;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench.Kernels;

/// <summary>Dense products: squares, and those of a training step of a model 384 wide with 2,048 tokens: x W^T, dy W, dy^T x.</summary>
public class ProductBenchmarks : KernelBenchmark
{
    Tensor a = new([1, 1]), b = new([1, 1]), c = new([1, 1]);

    [ParamsSource(nameof(Shapes))]
    public ProductShape Shape { get; set; } = new(1, 1, 1, "x W^T");

    public static IEnumerable<ProductShape> Shapes =>
    [
        .. new[] { 256, 512, 1024, 2048 }.Select(size => new ProductShape(size, size, size, "x W^T")),
        .. new[] { (2048, 384, 384), (2048, 1024, 384), (2048, 384, 1024), (2048, 8192, 384) }.Select(s => new ProductShape(s.Item1, s.Item2, s.Item3, "x W^T")),
        .. new[] { (2048, 384, 384), (2048, 384, 1024), (2048, 1024, 384), (2048, 384, 8192) }.Select(s => new ProductShape(s.Item1, s.Item2, s.Item3, "dy W")),
        .. new[] { (384, 384, 2048), (1024, 384, 2048), (384, 1024, 2048), (8192, 384, 2048) }.Select(s => new ProductShape(s.Item1, s.Item2, s.Item3, "dy^T x")),
    ];

    internal override Limit Limit => Limit.MultiplyAdd;

    internal override double Work(string method) => 2.0 * Shape.M * Shape.N * Shape.K;

    private protected override void Prepare()
    {
        (a, b, c) = (new Tensor([Shape.M, Shape.K]), new Tensor([Shape.K, Shape.N]), new Tensor([Shape.M, Shape.N]));
        Numbers(a.Data.Length).CopyTo(a.Data);
        Numbers(b.Data.Length).CopyTo(b.Data);
    }

    [Benchmark]
    public void Product()
    {
        (int m, int n, int k, string kind) = Shape;
        Transpose left = kind == "dy^T x" ? Transpose.Yes : Transpose.No, right = kind == "x W^T" ? Transpose.Yes : Transpose.No;
        Gemm.Multiply(Pool, left, right, m, n, k, a.Data, left == Transpose.No ? k : m, b.Data, right == Transpose.No ? n : k, c.Data, n, Accumulate.Overwrite);
    }
}

/// <summary>C [m, n] with an inner dimension of k.</summary>
public sealed record ProductShape(int M, int N, int K, string Kind)
{
    /// <inheritdoc/>
    public override string ToString() => $"{M}x{N}x{K} {Kind}";
}
