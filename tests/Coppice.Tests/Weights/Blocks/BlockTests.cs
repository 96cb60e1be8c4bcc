using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Tests.Tensors.Simd;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights.Blocks;

/// <summary>Blocks against the documented rounding, written again from the documentation over doubles and bytes.</summary>
[Collection(SimdCollection.Name)]
public class BlockTests
{
    [Fact]
    public void Q8_0_bytes_are_the_documented_ones()
    {
        foreach (float[] values in Samples())
            Assert.Equal(OracleQ8(values), Bytes(Q8_0.Pack(values)));
    }

    [Fact]
    public void Q4_0_bytes_are_the_documented_ones()
    {
        foreach (float[] values in Samples())
            Assert.Equal(OracleQ4(values), Bytes(Q4_0.Pack(values)));
    }

    [Fact]
    public void A_hand_made_Q4_0_block_reads_as_documented()
    {
        byte[] bytes = new byte[18];
        bytes[1] = 0x40;       // d = 2
        bytes[2] = 0x3F;       // weight 0: code 15, weight 16: code 3
        float[] values = new float[32];
        MemoryMarshal.Read<Q4_0>(bytes).Unpack(values);
        Assert.Equal(14f, values[0]);
        Assert.Equal(-10f, values[16]);
        Assert.All(values.Where((_, i) => i is not 0 and not 16), value => Assert.Equal(-16f, value));
    }

    [Fact]
    public void A_hand_made_Q8_0_block_reads_as_documented()
    {
        byte[] bytes = new byte[34];
        bytes[1] = 0x38;       // d = 0.5
        bytes[2] = 0x81;       // -127
        bytes[33] = 3;
        float[] values = new float[32];
        MemoryMarshal.Read<Q8_0>(bytes).Unpack(values);
        Assert.Equal(-63.5f, values[0]);
        Assert.Equal(1.5f, values[31]);
        Assert.Equal(0f, values[1]);
    }

    [Fact]
    public void Dot_is_the_product_with_the_unpacked_numbers()
    {
        foreach (float[] values in Samples().Where(sample => sample.All(value => Math.Abs(value) < 1e4)))
        {
            float[] x = Numbers(32, 99, 1);
            Check(Q8_0.Pack(values), x);
            Check(Q4_0.Pack(values), x);
        }
    }

    [Fact]
    public void Rows_that_are_no_whole_blocks_are_refused()
    {
        CoppiceException error = Assert.Throws<CoppiceException>(() => BlockWeight.From<Q4_0>(2, 48, new float[96]));
        Assert.Contains("[2, 48] has rows of 48 numbers, wanted a multiple of 32", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(SimdTesting.LevelData), MemberType = typeof(SimdTesting))]
    public void Blocks_packed_together_have_the_bytes_of_blocks_packed_alone(SimdLevel level)
    {
        using IDisposable chosen = SimdLevel.Select(level);
        float[] values = [.. Samples().Concat(Awkward()).SelectMany(sample => sample)];
        CheckPack<Q8_0>(values);
        CheckPack<Q4_0>(values);
    }

    [Theory]
    [MemberData(nameof(SimdTesting.LevelData), MemberType = typeof(SimdTesting))]
    public void A_matrix_packs_the_same_on_any_number_of_threads(SimdLevel level)
    {
        using IDisposable chosen = SimdLevel.Select(level);
        float[] values = Numbers(700 * 416, 5, 1);
        using WorkerPool three = new(3);
        Assert.Equal(Bytes(BlockWeight.From<Q8_0>(700, 416, values)), Bytes(BlockWeight.From<Q8_0>(700, 416, values, three)));
        Assert.Equal(Bytes(BlockWeight.From<Q4_0>(700, 416, values)), Bytes(BlockWeight.From<Q4_0>(700, 416, values, three)));
    }

    static byte[] Bytes<TBlock>(BlockWeight<TBlock> weight) where TBlock : unmanaged, IBlock<TBlock> => MemoryMarshal.AsBytes(weight.Blocks).ToArray();

    static void CheckPack<TBlock>(float[] values) where TBlock : unmanaged, IBlock<TBlock>
    {
        TBlock[] blocks = new TBlock[values.Length / 32];
        TBlock.Pack(values, blocks);
        for (int i = 0; i < blocks.Length; i++)
            Assert.Equal(Bytes(TBlock.Pack(values.AsSpan(32 * i, 32))), Bytes(blocks[i]));
        float[] together = new float[values.Length], alone = new float[32];
        TBlock.Unpack(blocks, together);
        for (int i = 0; i < blocks.Length; i++)
        {
            blocks[i].Unpack(alone);
            Assert.Equal(MemoryMarshal.Cast<float, int>(alone).ToArray(), MemoryMarshal.Cast<float, int>(together.AsSpan(32 * i, 32)).ToArray());
        }
    }

    // Zeros of both signs, ties in magnitude, infinities and NaNs, numbers whose scale is denormal or has an infinite inverse, and neighbours of ties.
    static IEnumerable<float[]> Awkward()
    {
        yield return [.. Enumerable.Repeat(-0f, 32)];
        yield return [.. Enumerable.Range(0, 32).Select(i => i % 3 == 0 ? -0f : 0f)];
        foreach (int first in new[] { 0, 5, 16, 31 })
        {
            yield return [.. Enumerable.Range(0, 32).Select(i => i < first ? 0.5f : i % 2 == 0 ? 1f : -1f)];
            foreach (float odd in new[] { float.PositiveInfinity, float.NegativeInfinity, float.NaN, float.MaxValue, float.MinValue, float.Epsilon })
            {
                float[] values = Numbers(32, first, 1);
                values[first] = odd;
                yield return values;
            }
        }
        for (int exponent = -149; exponent < 128; exponent++)
            yield return Numbers(32, exponent + 200, MathF.ScaleB(1, exponent));
        for (int i = 0; i < 200; i++)
        {
            Random random = new(i);
            yield return [127f, .. Enumerable.Range(0, 31).Select(_ => Next(random.Next(-127, 127) + 0.5f, random.Next(-2, 3)))];
            yield return [-8f, .. Enumerable.Range(0, 31).Select(_ => Next(random.Next(-8, 8) + 0.5f, random.Next(-2, 3)))];
        }
    }

    static float Next(float value, int steps) => BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(value) + steps);

    static void Check<TBlock>(TBlock block, float[] x) where TBlock : unmanaged, IBlock<TBlock>
    {
        float[] dense = new float[32];
        block.Unpack(dense);
        double wanted = 0, size = 0;
        for (int i = 0; i < 32; i++)
        {
            wanted += (double)dense[i] * x[i];
            size += Math.Abs((double)dense[i] * x[i]);
        }
        Assert.Equal(wanted, block.Dot(x), 1e-5 * size + 1e-30);
    }

    static byte[] Bytes<T>(T block) where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in block)).ToArray();

    static byte[] OracleQ8(float[] values)
    {
        byte[] bytes = new byte[34];
        float d = values.Max(Math.Abs) / 127f, id = d == 0f ? 0f : 1f / d;
        BitConverter.TryWriteBytes(bytes, (Half)d);
        for (int i = 0; i < 32; i++)
        {
            float scaled = values[i] * id;
            double away = Math.Sign(scaled) * Math.Floor(Math.Abs((double)scaled) + 0.5);
            bytes[2 + i] = unchecked((byte)(int)away);
        }
        return bytes;
    }

    static byte[] OracleQ4(float[] values)
    {
        byte[] bytes = new byte[18];
        float largest = values.Max(Math.Abs), signed = values.First(value => Math.Abs(value) == largest);
        float d = signed / -8f, id = d == 0f ? 0f : 1f / d;
        BitConverter.TryWriteBytes(bytes, (Half)d);
        for (int i = 0; i < 32; i++)
        {
            float scaled = values[i] * id, shifted = scaled + 8.5f;
            int code = Math.Clamp((int)Math.Floor((double)shifted), 0, 15);
            bytes[2 + i % 16] |= (byte)(i < 16 ? code : 16 * code);
        }
        return bytes;
    }

    static IEnumerable<float[]> Samples()
    {
        yield return new float[32];
        yield return [.. Enumerable.Repeat(1f, 32)];
        yield return [.. Enumerable.Range(0, 32).Select(i => i % 2 == 0 ? 3f : -3f)];
        // Halves between codes: 127 makes the scale 1, so these are ties that must round away from zero.
        yield return [127f, .. Enumerable.Range(0, 31).Select(i => i - 15.5f)];
        yield return [-8f, .. Enumerable.Range(0, 31).Select(i => i / 2f - 7.75f)];
        for (int seed = 0; seed < 300; seed++)
            yield return Numbers(32, seed, MathF.Pow(10, seed % 9 - 6));
    }

    static float[] Numbers(int count, int seed, float size)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => size * (float)(random.NextDouble() + random.NextDouble() - 1))];
    }
}
