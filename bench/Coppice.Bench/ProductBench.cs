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
        (2048, 256, 256, Transpose.No, Transpose.Yes),
        (2048, 768, 256, Transpose.No, Transpose.Yes),
        (2048, 256, 768, Transpose.No, Transpose.Yes),
        (2048, 4096, 256, Transpose.No, Transpose.Yes),
        (2048, 256, 768, Transpose.No, Transpose.No),
        (2048, 256, 4096, Transpose.No, Transpose.No),
        (768, 256, 2048, Transpose.Yes, Transpose.No),
        (4096, 256, 2048, Transpose.Yes, Transpose.No),
    ];

    public static void Run(WorkerPool pool)
    {
        Comparison.Header(pool.Threads, "products, GFLOP/s", "peak");
        foreach (var (m, n, k, ta, tb) in Shapes)
        {
            float[] a = Numbers(m * k), b = Numbers(k * n), c = new float[m * n];
            void Product() => Gemm.Multiply(pool, ta, tb, m, n, k, a, ta == Transpose.No ? k : m, b, tb == Transpose.No ? n : k, c, n, Accumulate.Overwrite);
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
