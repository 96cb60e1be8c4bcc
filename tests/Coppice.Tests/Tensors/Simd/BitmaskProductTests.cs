using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Tests.Tensors.Simd;

[Collection(SimdCollection.Name)]
public sealed class BitmaskProductTests : IDisposable
{
    readonly WorkerPool one = new(1), two = new(2);

    public void Dispose()
    {
        one.Dispose();
        two.Dispose();
    }

    public static TheoryData<SimdLevel> Levels => SimdTesting.LevelData;

    [Theory]
    [MemberData(nameof(Levels))]
    public void Zeros_anywhere_give_the_bits_of_the_dense_product_for_any_number_of_rows(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        Random random = new(5);
        foreach (double density in (double[])[0, 0.1, 0.5, 1])
            foreach (int outputs in (int[])[1, 31, 32, 33, 70])
                foreach (int inputs in (int[])[1, 31, 33, 100, 1050])
                {
                    ushort[] halves = [.. SimdTesting.Numbers(outputs * inputs).Select(x => random.NextDouble() < density ? BitConverter.HalfToUInt16Bits((Half)x) : (ushort)0)];
                    float[] dense = [.. halves.Select(bits => (float)BitConverter.UInt16BitsToHalf(bits))];
                    BitmaskPanels panels = new(two, outputs, inputs, (row, to) => halves.AsSpan(row * inputs, inputs).CopyTo(to));
                    foreach (int rows in (int[])[1, 2, 3, 5, 7, 8, 9, 30])
                    {
                        float[] x = SimdTesting.Numbers(rows * inputs, 7), expected = new float[rows * outputs], y = new float[rows * outputs];
                        Gemm.Multiply(Transpose.No, Transpose.Yes, rows, outputs, inputs, x, inputs, dense, inputs, expected, outputs, Accumulate.Overwrite);
                        foreach (WorkerPool pool in (WorkerPool[])[one, two])
                        {
                            Array.Fill(y, float.NaN);
                            BitmaskProduct.Multiply(pool, panels, x, rows, y);
                            SimdTesting.SameBits(expected, y, $"{level}, {density:P0} kept, [{outputs}, {inputs}], {rows} rows, {pool.Threads} threads");
                        }
                    }
                }
    }

    [Fact]
    public void A_matrix_large_enough_to_share_gives_the_same_bits_on_two_threads()
    {
        const int Outputs = 1021, Inputs = 300;
        float[] w = SimdTesting.Numbers(Outputs * Inputs), x = SimdTesting.Numbers(Inputs, 3), a = new float[Outputs], b = new float[Outputs];
        BitmaskPanels panels = new(two, Outputs, Inputs, (row, to) =>
        {
            for (int i = 0; i < Inputs; i++)
                to[i] = w[row * Inputs + i] > 0 ? BitConverter.HalfToUInt16Bits((Half)w[row * Inputs + i]) : (ushort)0;
        });
        BitmaskProduct.Multiply(one, panels, x, 1, a);
        BitmaskProduct.Multiply(two, panels, x, 1, b);
        SimdTesting.SameBits(a, b, "two threads");
    }

    [Fact]
    public void It_takes_less_memory_than_dense_halves()
    {
        BitmaskPanels panels = new(one, 64, 1024, (row, to) =>
        {
            for (int i = row % 2; i < to.Length; i += 2)
                to[i] = 0x3c00;
        });
        Assert.InRange(panels.ByteCount, 64 * 1024 * 9 / 8, 64 * 1024 * 10 / 8);
    }

    [Fact]
    public void Wrong_sizes_are_refused()
    {
        BitmaskPanels panels = new(one, 2, 3, (_, to) => to.Fill(0x3c00));
        Assert.Throws<ArgumentException>(() => BitmaskProduct.Multiply(one, panels, new float[4], 1, new float[2]));
        Assert.Throws<ArgumentException>(() => BitmaskProduct.Multiply(one, panels, new float[3], 1, new float[3]));
    }
}
