using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Tests.Tensors.Simd;

[Collection(SimdCollection.Name)]
public sealed class PackedPanelsTests : IDisposable
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
    public void Every_storage_gives_the_bits_of_the_dense_product_for_any_number_of_rows(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        foreach (int outputs in (int[])[1, 15, 16, 17, 33, 63, 70])
            foreach (int inputs in (int[])[0, 1, 7, 31, 32, 33, 100, 401])
            {
                float[] w = SimdTesting.Numbers(outputs * inputs);
                Check(PackedPanels.Float32(two, w, outputs, inputs), w, outputs, inputs, $"{level} f32");
                ushort[] halves = [.. w.Select(x => BitConverter.HalfToUInt16Bits((Half)x))];
                Check(PackedPanels.Float16(two, halves, outputs, inputs), [.. halves.Select(bits => (float)BitConverter.UInt16BitsToHalf(bits))], outputs, inputs, $"{level} f16");
                ushort[] brains = [.. w.Select(x => (ushort)(BitConverter.SingleToUInt32Bits(x) >> 16))];
                Check(PackedPanels.BFloat16(two, brains, outputs, inputs), [.. brains.Select(x => BitConverter.UInt32BitsToSingle((uint)x << 16))], outputs, inputs, $"{level} bf16");
                var (grouped, dense) = Grouped.Pack(w, outputs, inputs);
                Check(grouped, dense, outputs, inputs, $"{level} 4 bits in groups");
            }
    }

    [Fact]
    public void A_matrix_large_enough_to_share_gives_the_same_bits_on_two_threads()
    {
        const int Outputs = 1021, Inputs = 257;
        float[] w = SimdTesting.Numbers(Outputs * Inputs);
        foreach (var level in SimdTesting.Levels)
        {
            using var _ = SimdLevel.Select(level);
            Check(PackedPanels.Float32(two, w, Outputs, Inputs), w, Outputs, Inputs, $"{level}");
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Every_finite_half_and_every_bfloat16_number_is_read_exactly(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        // As one column of weights times 1, all 65,536 numbers come out.
        ushort[] all = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] y = new float[65536];
        PackedPanels.Float16(two, all, 65536, 1).Multiply(one, [1f], 1, y);
        for (int i = 0; i < y.Length; i++)
            Assert.True(!Half.IsFinite(BitConverter.UInt16BitsToHalf((ushort)i)) || y[i].Equals((float)BitConverter.UInt16BitsToHalf((ushort)i)), $"half {i:x4} became {y[i]:R}");
        PackedPanels.BFloat16(two, all, 65536, 1).Multiply(one, [1f], 1, y);
        for (int i = 0; i < y.Length; i++)
            Assert.True(y[i].Equals(BitConverter.UInt32BitsToSingle((uint)i << 16)), $"bfloat16 {i:x4} became {y[i]:R}");
    }

    [Fact]
    public void One_row_products_allocate_nothing()
    {
        var panels = PackedPanels.Float32(two, new float[600 * 256], 600, 256);
        float[] x = new float[256], y = new float[600];
        Allocations.None(() => panels.Multiply(two, x, 1, y));
    }

    [Fact]
    public void Spans_that_do_not_fit_are_refused()
    {
        var panels = PackedPanels.Float32(two, new float[6], 2, 3);
        Assert.Throws<ArgumentException>(() => panels.Multiply(one, new float[4], 1, new float[2]));
        Assert.Throws<ArgumentException>(() => panels.Multiply(one, new float[6], 2, new float[3]));
        Assert.Throws<ArgumentException>(() => PackedPanels.Float32(two, new float[5], 2, 3));
    }

    void Check<TDecoder>(PackedPanels<TDecoder> panels, float[] dense, int outputs, int inputs, string what) where TDecoder : struct, IPanelDecoder
    {
        foreach (int rows in (int[])[0, 1, 2, 3, 7, 13, 151])
        {
            if (rows == 151 && inputs > 33 && outputs > 33 && outputs != 70)
                continue;
            float[] x = SimdTesting.Numbers(rows * inputs, 7), expected = new float[rows * outputs], y = new float[rows * outputs];
            Gemm.Multiply(Transpose.No, Transpose.Yes, rows, outputs, inputs, x, inputs, dense, inputs, expected, outputs, Accumulate.Overwrite);
            foreach (var pool in (WorkerPool[])[one, two])
            {
                Array.Fill(y, float.NaN);
                panels.Multiply(pool, x, rows, y);
                SimdTesting.SameBits(expected, y, $"{what}, [{outputs}, {inputs}], {rows} rows, {pool.Threads} threads");
            }
        }
    }

    /// <summary>A storage as someone would add it: 4 bits less 8, times a scale for each output and 32 steps; a byte holds two neighbouring steps.</summary>
    readonly unsafe struct Grouped : IPanelDecoder
    {
        public static int BlockSteps => 32;

        public static int BlockBytes => 256 + 16 * 64;

        public static TV Scale<TL, TV>(byte* block, int group, int lane, TV blockScale) where TL : struct, ILanes<TV> where TV : struct => TL.Load((float*)block + lane);

        public static TV Load<TL, TV>(byte* block, int step, int lane, TV scale, TV offset) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Multiply(scale, TL.Subtract(TL.LoadUInt4(block + 256 + step / 2 * 64 + lane, step % 2 * 4), TL.Broadcast(8)));

        public static (PackedPanels<Grouped> Panels, float[] Dense) Pack(float[] w, int outputs, int inputs)
        {
            var panels = new PackedPanels<Grouped>(outputs, inputs);
            float[] dense = new float[w.Length];
            for (int output = 0; output < outputs; output++)
                for (int input = 0; input < inputs; input++)
                {
                    Span<byte> block = panels.Panel(output / 64).Slice(input / 32 * BlockBytes, BlockBytes);
                    float scale = 0.1f + output * 0.01f + input / 32;
                    int code = Math.Clamp((int)MathF.Round(w[output * inputs + input] * 7) + 8, 0, 15), step = input % 32;
                    MemoryMarshal.Cast<byte, float>(block)[output % 64] = scale;
                    block[256 + step / 2 * 64 + output % 64] |= (byte)(code << step % 2 * 4);
                    dense[output * inputs + input] = scale * (code - 8);
                }
            return (panels, dense);
        }
    }
}
