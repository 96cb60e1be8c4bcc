using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Weights;

namespace Coppice.Tests.Weights;

/// <summary>Blocks of 256 against their documented layout, read again here from bytes, and against blocks made by hand.</summary>
public sealed class SuperBlockTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Blocks_have_the_documented_sizes()
    {
        Assert.Equal(144, Unsafe.SizeOf<Q4_K>());
        Assert.Equal(210, Unsafe.SizeOf<Q6_K>());
    }

    [Fact]
    public void A_hand_made_Q4_K_block_reads_as_documented()
    {
        byte[] bytes = new byte[144];
        bytes[1] = 0x40;            // d = 2
        bytes[3] = 0x38;            // dmin = 0.5
        bytes[4] = 3;               // scale of group 0 is 3
        bytes[8] = 6;               // its minimum 6
        bytes[7] = 0b10_000000;     // high bits of group 7's scale: 32
        bytes[11] = 0b01_000000;    // and of its minimum: 16
        bytes[15] = 0x59;           // the low ones: scale 9 (41 in all), minimum 5 (21)
        bytes[16] = 0x0F;           // weight 0: code 15
        bytes[143] = 0x20;          // weight 255: code 2
        float[] values = Unpack<Q4_K>(bytes);
        Assert.Equal(2 * 3 * 15 - 0.5f * 6, values[0]);
        Assert.Equal(-0.5f * 6, values[1]);
        Assert.Equal(0, values[32]);
        Assert.Equal(2 * 41 * 2 - 0.5f * 21, values[255]);
        Assert.Equal(-0.5f * 21, values[254]);
    }

    [Fact]
    public void A_hand_made_Q6_K_block_reads_as_documented()
    {
        byte[] bytes = new byte[210];
        bytes[209] = 0x38;          // d = 0.5
        bytes.AsSpan(192, 16).Fill(1);
        bytes[192] = 0xFE;          // the scale of group 0 is -2
        bytes[0] = 0x0F;            // weight 0: low bits 15
        bytes[128] = 0b11_00_00_01; // weight 0: high bits 16; weight 96: 48
        bytes[127] = 0x70;          // weight 255: low bits 7
        bytes[191] = 0b10_000000;   // weight 255: high bits 32
        float[] values = Unpack<Q6_K>(bytes);
        Assert.Equal(0.5f * -2 * (31 - 32), values[0]);
        Assert.Equal(0.5f * -2 * -32, values[1]);
        Assert.Equal(0.5f * (48 - 32), values[96]);
        Assert.Equal(0.5f * (39 - 32), values[255]);
        Assert.Equal(0.5f * -32, values[254]);
    }

    [Fact]
    public void Any_bytes_read_as_the_documentation_computes_them()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            byte[] q4 = Bytes(144, seed, 0, 2), q6 = Bytes(210, seed, 208);
            Assert.Equal(OracleQ4(q4), Unpack<Q4_K>(q4));
            Assert.Equal(OracleQ6(q6), Unpack<Q6_K>(q6));
        }
    }

    // The first block of a matrix that llama-quantize (v0.5.0, Q4_K_M) made, and the numbers that it gives when it turns the file back into F32.
    [Fact]
    public void Blocks_of_llama_cpp_read_as_llama_cpp_reads_them()
    {
        CheckFixed<Q4_K>("hg7uGqXs5qyb4eeyd/vfSVlcBHSAw6eVRyiFrSxN+COHiC5nhhq/d0eoZKflFbWIh6q7j/IFpkeciVLKlsc6OmiambR9w8i7a5unwMZL06m4nJXqXMq125n3q+wvrqVxoQrJa9PG2HaQqJ16mHmJoYcsSuq6iYp6+EU4Staby3kHJphWxndH33k3tkupunmw",
            "dff9198399865f26083bd93499ade6a58603e0434b5d32c71bc8f9bce570b8b4", 0.04122877f, 0.08542442f, -0.03243065f, -0.03243065f);
        CheckFixed<Q6_K>("kWwilRMbqRevyBLGepbdLi5ANOZRuHJJTqBrH7PmmkOu8y7P8SQFbULWJgrLk1HmqhoPD6K+AYdimQM1cL/poC8P9yB/XI3ofj55YMs/KzW/EKuEwTj8kJnj42MEBd9QYz9ZkN+eaQEk0fgLzCpdNxBJCmHZTCr6rf8vRHAI0ZVEreKmopahallZQi5CWdWhaOoY9aTlXWJJ+ZXGmRFpU6VEanAceGSm2okHGog1VOToaSVdkJiZpZlRtbl6RVF7gCop3r/PxM3ZLjIz4c3WOuEF",
            "9a704002c7deed7fc8d6c4aafa14e7ec4b7de3b29e57c06cc32f93007e281286", 0.3559494f, 0.045928955f, -0.022964478f, -0.057411194f);
    }

    static void CheckFixed<TBlock>(string base64, string sha256, params float[] start) where TBlock : unmanaged, IBlock<TBlock>
    {
        float[] values = Unpack<TBlock>(Convert.FromBase64String(base64));
        Assert.Equal(start, values[..start.Length]);
        Assert.Equal(sha256, Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(values.AsSpan()))));
    }

    [Fact]
    public void Dot_is_the_product_with_the_unpacked_numbers()
    {
        for (int seed = 0; seed < 20; seed++)
        {
            CheckDot<Q4_K>(Bytes(144, seed, 0, 2), seed);
            CheckDot<Q6_K>(Bytes(210, seed, 208), seed);
        }
    }

    [Fact]
    public void A_file_with_them_is_read_multiplied_and_written_as_it_was()
    {
        BlockWeight<Q4_K> q4 = Weight<Q4_K>(3, 512, 144, 0, 2);
        BlockWeight<Q6_K> q6 = Weight<Q6_K>(5, 256, 210, 208);
        GgufWriter.Write(folder["a"], [], [new(new("q4", q4), GgmlType.Q4_K), new(new("q6", q6), GgmlType.Q6_K)]);
        using Gguf gguf = Gguf.Open(folder["a"]);
        Assert.Equal(MemoryMarshal.AsBytes(q4.Blocks).ToArray(), MemoryMarshal.AsBytes(Assert.IsType<BlockWeight<Q4_K>>(gguf.ReadWeight("q4")).Blocks).ToArray());
        Assert.Equal(q6.ToDense(), gguf.ReadTensor("q6").Data.ToArray());
        GgufWriter.Write(folder["b"], [], [new(new("q4", gguf.ReadWeight("q4")), GgmlType.Q4_K), new(new("q6", gguf.ReadWeight("q6")), GgmlType.Q6_K)]);
        Assert.Equal(File.ReadAllBytes(folder["a"]), File.ReadAllBytes(folder["b"]));

        float[] x = Numbers(2 * 512, 7), y = new float[2 * 3];
        using WorkerPool pool = new(2);
        q4.Multiply(pool, new Rows(x, 2, 512), new Rows(y, 2, 3));
        float[] dense = q4.ToDense();
        for (int i = 0; i < y.Length; i++)
        {
            double wanted = 0, size = 0;
            for (int k = 0; k < 512; k++)
            {
                wanted += (double)dense[i % 3 * 512 + k] * x[i / 3 * 512 + k];
                size += Math.Abs((double)dense[i % 3 * 512 + k] * x[i / 3 * 512 + k]);
            }
            Assert.Equal(wanted, y[i], 1e-5 * size);
        }
    }

    [Fact]
    public void They_are_not_made_of_other_numbers()
    {
        CoppiceException error = Assert.Throws<CoppiceException>(() => GgufWriter.Write(folder["a"], [], [new(new("w", new DenseWeight(new Tensor([1, 256]))), GgmlType.Q4_K)]));
        Assert.Contains("tensor 'w' is f32: Q4_K is only copied", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_infinite_scale_is_refused()
    {
        BlockWeight<Q6_K> weight = Weight<Q6_K>(1, 256, 210, 208);
        GgufWriter.Write(folder["a"], [], [new(new("w", weight), GgmlType.Q6_K)]);
        byte[] file = File.ReadAllBytes(folder["a"]);
        byte[] block = MemoryMarshal.AsBytes(weight.Blocks).ToArray();
        file[file.AsSpan().IndexOf(block) + 209] = 0x7C;
        File.WriteAllBytes(folder["a"], file);
        using Gguf gguf = Gguf.Open(folder["a"]);
        Assert.Contains("not finite", Assert.Throws<CoppiceException>(() => gguf.ReadWeight("w")).Message, StringComparison.Ordinal);
    }

    static BlockWeight<TBlock> Weight<TBlock>(int rows, int columns, int bytes, params int[] halves) where TBlock : unmanaged, IBlock<TBlock> =>
        new(rows, columns, Enumerable.Range(0, rows * columns / 256).Select(i => MemoryMarshal.Read<TBlock>(Bytes(bytes, i, halves))).ToArray());

    static void CheckDot<TBlock>(byte[] bytes, int seed) where TBlock : unmanaged, IBlock<TBlock>
    {
        float[] values = Unpack<TBlock>(bytes), x = Numbers(values.Length, seed);
        double wanted = 0, size = 0;
        for (int i = 0; i < x.Length; i++)
        {
            wanted += (double)values[i] * x[i];
            size += Math.Abs((double)values[i] * x[i]);
        }
        // Codes and offsets cancel: sizes of both count.
        Assert.Equal(wanted, MemoryMarshal.Read<TBlock>(bytes).Dot(x), 1e-4 * size);
    }

    // Scales and minima from the documented bits, weights from their own places.
    static float[] OracleQ4(byte[] bytes)
    {
        float d = (float)BitConverter.ToHalf(bytes, 0), min = (float)BitConverter.ToHalf(bytes, 2);
        byte[] s = bytes[4..16];
        int[] scales = [s[0] % 64, s[1] % 64, s[2] % 64, s[3] % 64, s[8] % 16 + s[0] / 64 * 16, s[9] % 16 + s[1] / 64 * 16, s[10] % 16 + s[2] / 64 * 16, s[11] % 16 + s[3] / 64 * 16];
        int[] mins = [s[4] % 64, s[5] % 64, s[6] % 64, s[7] % 64, s[8] / 16 + s[4] / 64 * 16, s[9] / 16 + s[5] / 64 * 16, s[10] / 16 + s[6] / 64 * 16, s[11] / 16 + s[7] / 64 * 16];
        float[] values = new float[256];
        for (int at = 0; at < 128; at++)
        {
            int group = at / 32 * 2, i = at / 32 * 64 + at % 32;
            values[i] = d * scales[group] * (bytes[16 + at] % 16) - min * mins[group];
            values[i + 32] = d * scales[group + 1] * (bytes[16 + at] / 16) - min * mins[group + 1];
        }
        return values;
    }

    static float[] OracleQ6(byte[] bytes)
    {
        float d = (float)BitConverter.ToHalf(bytes, 208);
        float[] values = new float[256];
        for (int half = 0; half < 2; half++)
            for (int l = 0; l < 32; l++)
            {
                byte first = bytes[64 * half + l], second = bytes[64 * half + 32 + l], high = bytes[128 + 32 * half + l];
                int[] codes = [first % 16 + high % 4 * 16, second % 16 + high / 4 % 4 * 16, first / 16 + high / 16 % 4 * 16, second / 16 + high / 64 * 16];
                for (int quarter = 0; quarter < 4; quarter++)
                    values[128 * half + 32 * quarter + l] = d * (sbyte)bytes[192 + 8 * half + 2 * quarter + l / 16] * (codes[quarter] - 32);
            }
        return values;
    }

    static float[] Unpack<TBlock>(byte[] bytes) where TBlock : unmanaged, IBlock<TBlock>
    {
        float[] values = new float[TBlock.Size];
        MemoryMarshal.Read<TBlock>(bytes).Unpack(values);
        return values;
    }

    // Random bytes with small finite halves at the places given.
    static byte[] Bytes(int count, int seed, params int[] halves)
    {
        Random random = new(seed);
        byte[] bytes = new byte[count];
        random.NextBytes(bytes);
        foreach (int at in halves)
            BitConverter.TryWriteBytes(bytes.AsSpan(at), (Half)(random.NextSingle() / 100));
        return bytes;
    }

    static float[] Numbers(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
    }
}
