using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Tests.Tensors.Simd;

[Collection(SimdCollection.Name)]
public sealed class GemmTests : IDisposable
{
    readonly WorkerPool one = new(1), two = new(2), three = new(3);

    public void Dispose()
    {
        one.Dispose();
        two.Dispose();
        three.Dispose();
    }

    public static TheoryData<SimdLevel> Levels => SimdTesting.LevelData;

    [Theory]
    [MemberData(nameof(Levels))]
    public void Every_small_and_ragged_size_agrees_with_a_plain_product_in_double(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        int[] sizes = [0, 1, 2, 5, 6, 7, 11, 12, 13, 15, 16, 17, 31, 32, 33, 47, 64, 70];
        foreach (int m in sizes)
            foreach (int n in sizes)
                foreach (int k in (int[])[0, 1, 3, 4, 17, 64])
                    Compare(one, (Transpose)((m + n) & 1), (Transpose)((n + k + 1) & 1), m, n, k, 3, (Accumulate)((m / 2 + k) & 1));
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void All_layouts_agree_past_every_block_boundary(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        foreach (var a in Enum.GetValues<Transpose>())
            foreach (var b in Enum.GetValues<Transpose>())
                foreach (var mode in Enum.GetValues<Accumulate>())
                {
                    Compare(three, a, b, 151, 45, 401, 0, mode);
                    Compare(two, a, b, 5, 2070, 9, 1, mode);
                }
    }

    [Fact]
    public void Threads_widths_and_the_number_of_rows_do_not_change_a_bit()
    {
        const int M = 157, N = 77, K = 803;
        float[] a = SimdTesting.Numbers(M * K, 1), b = SimdTesting.Numbers(N * K, 2), expected = new float[M * N], actual = new float[M * N];
        // The definition: one fused multiply-add after another.
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++)
            {
                float sum = 0;
                for (int p = 0; p < K; p++)
                    sum = MathF.FusedMultiplyAdd(a[i * K + p], b[j * K + p], sum);
                expected[i * N + j] = sum;
            }

        foreach (var level in SimdTesting.Levels)
        {
            using var _ = SimdLevel.Select(level);
            foreach (var pool in (WorkerPool[])[one, two, three])
            {
                Gemm.Multiply(pool, Transpose.No, Transpose.Yes, M, N, K, a, K, b, K, actual, N, Accumulate.Overwrite);
                SimdTesting.SameBits(expected, actual, $"{level}, {pool.Threads} threads");
            }
            for (int i = 0; i < M; i++)
                Gemm.Multiply(Transpose.No, Transpose.Yes, 1, N, K, a.AsSpan(i * K), K, b, K, actual.AsSpan(i * N), N, Accumulate.Overwrite);
            SimdTesting.SameBits(expected, actual, $"{level}, row by row");
        }
    }

    [Fact]
    public void A_short_span_is_refused_with_both_shapes()
    {
        var error = Assert.Throws<ArgumentException>(() =>
            Gemm.Multiply(one, Transpose.No, Transpose.No, 2, 3, 4, new float[8], 4, new float[11], 3, new float[6], 3, Accumulate.Overwrite));
        Assert.Contains("[2, 4]", error.Message);
        Assert.Contains("[4, 3]", error.Message);
        Assert.Throws<ArgumentException>(() =>
            Gemm.Multiply(one, Transpose.No, Transpose.No, 2, 3, 4, new float[8], 3, new float[12], 3, new float[6], 3, Accumulate.Overwrite));
        Assert.Throws<ArgumentException>(() =>
            Gemm.Multiply(one, Transpose.No, Transpose.No, 2, 3, 4, new float[8], 4, new float[12], 3, new float[5], 3, Accumulate.Overwrite));
    }

    [Fact]
    public void A_second_product_of_the_same_size_allocates_nothing()
    {
        float[] a = SimdTesting.Numbers(200 * 300), b = SimdTesting.Numbers(100 * 300), c = new float[200 * 100];
        void Product() => Gemm.Multiply(two, Transpose.No, Transpose.Yes, 200, 100, 300, a, 300, b, 300, c, 100, Accumulate.Add);
        Allocations.None(Product);
    }

    static void Compare(WorkerPool pool, Transpose ta, Transpose tb, int m, int n, int k, int slack, Accumulate mode)
    {
        int lda = (ta == Transpose.No ? k : m) + slack, ldb = (tb == Transpose.No ? n : k) + slack, ldc = n + slack;
        float[] a = SimdTesting.Numbers((ta == Transpose.No ? m : k) * lda, 1), b = SimdTesting.Numbers((tb == Transpose.No ? k : n) * ldb, 2);
        float[] c = SimdTesting.Numbers(m * ldc, 3);
        double[] expected = Array.ConvertAll(c, x => (double)x);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++)
            {
                double sum = mode == Accumulate.Add ? c[i * ldc + j] : 0;
                for (int p = 0; p < k; p++)
                    sum += (double)(ta == Transpose.No ? a[i * lda + p] : a[p * lda + i]) * (tb == Transpose.No ? b[p * ldb + j] : b[j * ldb + p]);
                expected[i * ldc + j] = sum;
            }
        Gemm.Multiply(pool, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, mode);
        SimdTesting.Close(expected, c, 1e-4, $"[{m}, {k}] {ta} x [{k}, {n}] {tb}, {mode}, {pool.Threads} threads");
    }
}
