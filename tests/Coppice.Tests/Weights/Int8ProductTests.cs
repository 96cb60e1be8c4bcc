using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights;

/// <summary>Products of integer weights with rounded activations, against a plain sum in double over activations that are rounded here, and every width against the scalar twin.</summary>
[Collection(Tensors.Simd.SimdCollection.Name)]
public sealed class Int8ProductTests : IDisposable
{
    readonly WorkerPool one = new(1), three = new(3);

    public void Dispose()
    {
        one.Dispose();
        three.Dispose();
    }

    public static TheoryData<string> Kinds => [.. BlockFormat.All.Select(format => format.Name), "int4-g32", "int4-g32-asym", "int8-channel", "int3-g32", "int4-g128-asym", "int6-g64-asym", "int8-g32-asym", "2:4-int4-g32", "mxfp4-g32", "ternary-channel"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void The_product_is_that_of_the_unpacked_numbers_with_the_rounded_activations(string kind)
    {
        foreach ((int rows, int columns) in ProductTests.SizesFor(kind, (1, 32), (16, 64), (35, 96), (70, 544)))
        {
            Weight weight = ProductTests.Make(kind, rows, columns);
            float[] dense = weight.ToDense();
            foreach (int count in new[] { 1, 2, 3, 5, 6, 13 })
            {
                float[] x = ProductTests.Numbers(count * columns, count), y = Multiply(one, weight, x, count);
                double[] rounded = Rounded(x, columns);
                for (int m = 0; m < count; m++)
                    for (int n = 0; n < rows; n++)
                    {
                        (double sum, double size) = (0, 0);
                        for (int k = 0; k < columns; k++)
                        {
                            sum += rounded[m * columns + k] * dense[n * columns + k];
                            size += Math.Abs(rounded[m * columns + k] * dense[n * columns + k]);
                        }
                        Assert.True(Math.Abs(sum - y[m * rows + n]) <= 2e-6 * size, $"{kind} [{rows}, {columns}] at [{m}, {n}] of {count}: {y[m * rows + n]}, wanted {sum}");
                    }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_width_thread_count_and_batch_gives_the_bits_of_the_scalar_twin_of_one_row(string kind)
    {
        foreach ((int rows, int columns) in ProductTests.SizesFor(kind, (17, 32), (49, 288), (333, 544)))
        {
            const int Count = 29;
            Weight weight = ProductTests.Make(kind, rows, columns);
            float[] x = ProductTests.Numbers(Count * columns, 5), wanted = new float[Count * rows];
            using (SimdLevel.Select(SimdLevel.Scalar))
                for (int m = 0; m < Count; m++)
                    Multiply(one, weight, x[(m * columns)..((m + 1) * columns)], 1).CopyTo(wanted, m * rows);
            foreach (SimdLevel level in Tensors.Simd.SimdTesting.Levels)
            {
                using var _ = SimdLevel.Select(level);
                foreach (int count in new[] { 1, 2, 3, 4, 5, 7, Count })
                    foreach (WorkerPool pool in new[] { one, three })
                        Tensors.Simd.SimdTesting.SameBits(wanted.AsSpan(0, count * rows), Multiply(pool, weight, x[..(count * columns)], count), $"{kind} [{rows}, {columns}], {count} rows, {level}, {pool.Threads} threads");
            }
        }
    }

    [Fact]
    public void Extreme_codes_and_activations_do_not_overflow()
    {
        foreach (float sign in new[] { 1f, -1f })
        {
            float[] x = new float[256], w = new float[16 * 256];
            x.AsSpan().Fill(sign);
            foreach (byte code in new byte[] { 0, 255 })
            {
                byte[] codes = new byte[16 * 256];
                codes.AsSpan().Fill(code);
                Half[] scales = new Half[16 * 8];
                scales.AsSpan().Fill((Half)1);
                Check(new IntWeight(8, 32, 16, 256, codes, scales, []), x, sign * 256 * (code - 128));
                byte[] nibbles = [.. codes.Select(c => (byte)(c & 15))];
                Check(new IntWeight(4, 32, 16, 256, nibbles, scales, []), x, sign * 256 * ((code & 15) - 8));
            }
        }

        void Check(Weight weight, float[] x, float wanted)
        {
            foreach (SimdLevel level in Tensors.Simd.SimdTesting.Levels)
            {
                using var _ = SimdLevel.Select(level);
                foreach (float y in Multiply(one, weight, x, 1))
                    Assert.Equal(wanted, y, Math.Abs(wanted) * 1e-6f);
            }
        }
    }

    [Fact]
    public void Numbers_that_are_not_finite_come_out_as_such()
    {
        Weight weight = ProductTests.Make("q8_0", 16, 64);
        foreach (float bad in new[] { float.NaN, float.PositiveInfinity })
            foreach (SimdLevel level in Tensors.Simd.SimdTesting.Levels)
            {
                using var _ = SimdLevel.Select(level);
                float[] x = ProductTests.Numbers(64, 3);
                x[40] = bad;
                Assert.All(Multiply(one, weight, x, 1), y => Assert.False(float.IsFinite(y)));
            }
    }

    [Fact]
    public void Products_after_the_first_allocate_nothing()
    {
        Weight weight = ProductTests.Make("q4_0", 48, 64);
        float[] x = ProductTests.Numbers(4 * 64, 8), y = new float[4 * 48];
        Int8Rows rounded = new();
        Tensors.Simd.Allocations.None(() =>
        {
            rounded.Fill(one, x, 4, 64);
            weight.Multiply(one, rounded, new Rows(y, 4, 48));
        });
    }

    static float[] Multiply(WorkerPool pool, Weight weight, float[] x, int count)
    {
        Assert.Equal(ActivationFormat.Int8, weight.Wants);
        Int8Rows rounded = new();
        rounded.Fill(pool, x, count, weight.Columns);
        float[] y = new float[count * weight.Rows];
        y.AsSpan().Fill(float.NaN);
        weight.Multiply(pool, rounded, new Rows(y, count, weight.Rows));
        return y;
    }

    // q max|x| / 127 for 32 neighbours each.
    static double[] Rounded(float[] x, int columns)
    {
        double[] rounded = new double[x.Length];
        for (int row = 0; row < x.Length; row += columns)
            for (int start = 0; start < columns; start += 32)
            {
                int end = Math.Min(start + 32, columns);
                float max = 0;
                for (int k = start; k < end; k++)
                    max = Math.Max(max, Math.Abs(x[row + k]));
                for (int k = start; k < end; k++)
                    rounded[row + k] = max == 0 ? 0 : MathF.Round(x[row + k] * (127 / max)) * ((double)max / 127);
            }
        return rounded;
    }
}
