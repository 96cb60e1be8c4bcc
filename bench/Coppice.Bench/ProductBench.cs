using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Bench;

/// <summary>Dense products against the FMA peak, measured in turn.</summary>
static class ProductBench
{
    static readonly (int M, int N, int K, Transpose A, Transpose B)[] Shapes =
    [
        (256, 256, 256, Transpose.No, Transpose.Yes),
        (512, 512, 512, Transpose.No, Transpose.Yes),
        (1024, 1024, 1024, Transpose.No, Transpose.Yes),
        (2048, 2048, 2048, Transpose.No, Transpose.Yes),

        // A training step's: x W^T, dy W, dy^T x of a model 384 wide with 2048 tokens.
        (2048, 384, 384, Transpose.No, Transpose.Yes),
        (2048, 1024, 384, Transpose.No, Transpose.Yes),
        (2048, 384, 1024, Transpose.No, Transpose.Yes),
        (2048, 8192, 384, Transpose.No, Transpose.Yes),
        (2048, 384, 384, Transpose.No, Transpose.No),
        (2048, 384, 1024, Transpose.No, Transpose.No),
        (2048, 1024, 384, Transpose.No, Transpose.No),
        (2048, 384, 8192, Transpose.No, Transpose.No),
        (384, 384, 2048, Transpose.Yes, Transpose.No),
        (1024, 384, 2048, Transpose.Yes, Transpose.No),
        (384, 1024, 2048, Transpose.Yes, Transpose.No),
        (8192, 384, 2048, Transpose.Yes, Transpose.No),
    ];

    public static void Run(WorkerPool pool)
    {
        Comparison.Header(pool.Threads, "products, GFLOP/s", "peak");
        foreach (var (m, n, k, ta, tb) in Shapes)
        {
            Tensor a = Tensor.From([m, k], Numbers(m * k)), b = Tensor.From([k, n], Numbers(k * n)), c = new([m, n]);
            void Product() => Gemm.Multiply(pool, ta, tb, m, n, k, a.Data, ta == Transpose.No ? k : m, b.Data, tb == Transpose.No ? n : k, c.Data, n, Accumulate.Overwrite);
            string name = $"[{m}, {k}]{(ta == Transpose.Yes ? "^T" : "")} x [{k}, {n}]{(tb == Transpose.Yes ? "^T" : "")}";
            Comparison.Report(name, () => Comparison.Rate(2.0 * m * n * k, 1e8, Product), () => Probes.PeakGigaflops(pool));
        }
    }

    public static float[] Numbers(int count)
    {
        var random = new Random(1);
        float[] numbers = new float[count];
        foreach (ref float number in numbers.AsSpan())
            number = random.NextSingle() - 0.5f;
        return numbers;
    }
}
