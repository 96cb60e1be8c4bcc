using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights.Blocks;

/// <summary>Every block type through the table: sizes, numbers read again here bit by bit, llama.cpp's own blocks, and rounding against rounding between the extremes.</summary>
public sealed class BlockFormatTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string> Names => [.. BlockFormat.All.Select(format => format.Name)];

    /// <summary>Numbers a block, bytes, and where its halves lie.</summary>
    static readonly Dictionary<string, (int Size, int Bytes, int[] Halves)> Layouts = new()
    {
        ["q8_0"] = (32, 34, [0]),
        ["q4_0"] = (32, 18, [0]),
        ["q4_1"] = (32, 20, [0, 2]),
        ["q5_0"] = (32, 22, [0]),
        ["q5_1"] = (32, 24, [0, 2]),
        ["iq4_nl"] = (32, 18, [0]),
        ["mxfp4"] = (32, 17, []),
        ["q2_k"] = (256, 84, [80, 82]),
        ["q3_k"] = (256, 110, [108]),
        ["q4_k"] = (256, 144, [0, 2]),
        ["q5_k"] = (256, 176, [0, 2]),
        ["q6_k"] = (256, 210, [208]),
        ["iq4_xs"] = (256, 136, [0]),
        ["iq2_xxs"] = (256, 66, [0]),
        ["iq2_xs"] = (256, 74, [0]),
        ["iq2_s"] = (256, 82, [0]),
        ["iq3_xxs"] = (256, 98, [0]),
        ["iq3_s"] = (256, 110, [0]),
    };

    /// <summary>Any bytes of blocks, their halves small and finite.</summary>
    internal static byte[] AnyBytes(string name, int blocks, int seed)
    {
        (_, int size, int[] halves) = Layouts[name];
        Random random = new(seed);
        byte[] bytes = new byte[blocks * size];
        random.NextBytes(bytes);
        for (int i = 0; i < blocks; i++)
            foreach (int half in halves)
                BitConverter.TryWriteBytes(bytes.AsSpan(i * size + half), (Half)(random.NextSingle() / 100));
        for (int i = 0; name == "mxfp4" && i < blocks; i++)
            bytes[i * size] = (byte)(112 + random.Next(10));
        return bytes;
    }

    /// <summary>A matrix of such blocks.</summary>
    internal static BlockWeight Any(string name, int rows, int columns) =>
        BlockFormat.Find(name)!.Read(rows, columns, new ByteBlocks(AnyBytes(name, rows * columns / Layouts[name].Size, rows + columns)));

    sealed class ByteBlocks(byte[] bytes) : IBlockSource
    {
        public ReadOnlyMemory<TBlock> Read<TBlock>() where TBlock : unmanaged, IBlock<TBlock> => MemoryMarshal.Cast<byte, TBlock>(bytes).ToArray();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Blocks_have_the_documented_sizes(string name)
    {
        BlockFormat format = BlockFormat.Find(name)!;
        Assert.Equal((Layouts[name].Size, Layouts[name].Bytes), (format.Size, format.ByteCount));
        GgmlType type = GgmlType.Of(format);
        Assert.Equal((name.ToUpperInvariant(), format.Size, format.ByteCount), (type.Name, type.BlockSize, type.BlockBytes));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Any_bytes_read_as_the_documentation_computes_them(string name)
    {
        BlockFormat format = BlockFormat.Find(name)!;
        for (int seed = 0; seed < 100; seed++)
        {
            byte[] bytes = AnyBytes(name, 1, seed);
            float[] values = new float[format.Size];
            format.Unpack(bytes, values);
            Assert.Equal(BlockOracle.Read(name, bytes), values);
        }
    }

    // The first blocks of a matrix that llama-quantize made, and the numbers that it gives when it turns the file back into F32.
    public static TheoryData<string, string, string, float, float> OfLlamaCpp => new()
    {
        { "q4_k", "hg7uGqXs5qyb4eeyd/vfSVlcBHSAw6eVRyiFrSxN+COHiC5nhhq/d0eoZKflFbWIh6q7j/IFpkeciVLKlsc6OmiambR9w8i7a5unwMZL06m4nJXqXMq125n3q+wvrqVxoQrJa9PG2HaQqJ16mHmJoYcsSuq6iYp6+EU4Staby3kHJphWxndH33k3tkupunmw", "dff9198399865f26083bd93499ade6a58603e0434b5d32c71bc8f9bce570b8b4", 0.04122877f, 0.08542442f },
        { "q6_k", "kWwilRMbqRevyBLGepbdLi5ANOZRuHJJTqBrH7PmmkOu8y7P8SQFbULWJgrLk1HmqhoPD6K+AYdimQM1cL/poC8P9yB/XI3ofj55YMs/KzW/EKuEwTj8kJnj42MEBd9QYz9ZkN+eaQEk0fgLzCpdNxBJCmHZTCr6rf8vRHAI0ZVEreKmopahallZQi5CWdWhaOoY9aTlXWJJ+ZXGmRFpU6VEanAceGSm2okHGog1VOToaSVdkJiZpZlRtbl6RVF7gCop3r/PxM3ZLjIz4c3WOuEF", "9a704002c7deed7fc8d6c4aafa14e7ec4b7de3b29e57c06cc32f93007e281286", 0.3559494f, 0.045928955f },
        { "q4_1", "bCIFr5KLzrLWdXvbSmBEdH+xfqc=", "5c50097af93e126dacd897950c88944d6290278c0996ea3573dba631120165f8", -0.08459473f, 0.028289795f },
        { "q5_0", "BR/GUZ2gBONpRHra1IWDsIfoy0LJLQ==", "fa8cd13fcc18bcbf78525745bc991213a54b9c673051ac33b8f5e28c375512be", -0.08226013f, 0.020565033f },
        { "q5_1", "Nx4Fr8ZRn6AlBp10vPvnt5XAmPnvcu1P", "ae2a4efd5b57f725abc8ae25a2657e4912f5be5f91be9840f35b9aa90b03a4d6", -0.07933426f, 0.023841858f },
        { "q2_k", "u2fPnbxH3Fo2rPxsvbh5SWR6K0jRlaqWsthpmV/om9URJcdWD0W5l0RECKl5UoECQXmcGJyVXV9Ule3E2D2YVA4mJWMCMfJmeGD6dSYnWqY8Ha8g", "b5b08e06e16da1709bb88330795678394546c69787b2d92c0711dd174c61b25f", -0.100624084f, 0.011833191f },
        { "q3_k", "1oV18npa7evfWCRYcbxZ2ouql2ut/mCFVrZM8KirBn/FqQ6Bf3YNJT1YSjrznDqbfOszcnMjT0/U5rirCjr+6XEPVsPV2BtkKpgneiLE3WmDt73FS1hXP9s3BwFzdO+E6KIMyomPFYTgOcP/iJQ=", "1e1a4f216c64903a43b92a0763a371453d4f98cc9367a84cbef951d4910e9acb", -0.07965088f, 0.026550293f },
        { "q5_k", "cQhoGOz17bOz8u94sv8T+QRXpyKoCD85DYrmioNuCwg1FSkdE0jeP+gI8m8eHTiBtYZdBBzLJ5gGYJhp/zJ9fwKQ6ffr708byZxpcF5XTmTBqgKQfEwBOS92YRvctCu10pf5Atk7qrFNTKmXHDJojAzASQc7joAneW1Pauleu4zw5EnJkJ3DQWHQkwni70Hfob5bPwzs3YnZSqZVlw78qSBLKu5wdLK9AqrxwWtt938=", "592ae13d262a0d23be827a8faff6ea128e3eb83ba67f641de5e4fd73c074e97f", -0.07990694f, 0.0214777f },
        { "iq4_nl", "exOCes2ixGRqyzpQM2NeoW2W", "10aea69d62f69b86f35cbce29e44dd777bfb9a87383abe86a6890984cf45d3a6", -0.07579088f, 0.022828579f },
        { "iq4_xs", "RYIMw6ZJC3iCes2ixGRqyzpQM2NeoW2W+sOUhw+aVmyvxDI0QNXj3ZjNSZA1VdiEX1JIxOWaNFJVNOBzW5nX2ZibQsiFnbg9aUa7K2mYV2Pr6Fe6WwdqefB1qlhKQ1yqw2Lbg3drtWMAX0V4BramZKREnJJTbzZ02cjTbba2F5pYlAGDsb5mKQ==", "96d759cf687caa6da4d91ac7b73d0d4fe7aa27a51f413aba538a39c65a79ecf8", -0.074732184f, 0.022509694f },
        { "iq2_xxs", "cxFRvFW5HczLiN1notbx5AaNuLuyqptNkK3UzrwPickrhGztAG2JSZTvWZ6FD8YUUf258zVqbVQGoXXTggrhRLSv", "1159a7c171678b7b3040a6f6433246ef6f4a1c165a79312afa1e06a28b4b9ac4", -0.011308193f, 0.011308193f },
        { "iq2_xs", "qRGaOmMwJ14yjSfj6JI6N5zRozYiNlGDRNkBE4Yn6l8QQ80SyScAos74r4wyU/+IFdSJ29tRZDK8ENvCKBOJowf6mY2veO3vx5s=", "b4dd38bc49c01391ff987e9c8a8a0d2f90817e85702fadb7d6c22c8822378431", -0.013127804f, 0.013127804f },
        { "iq2_s", "VxHtj9/QIavdVgjximcluDHudJ8AdRpT2BXwzpQ4iiLwBz0Qr8RzyRvoGxtAbAmTrwEBl5H8xqlEKuwo2YjhGdF9kOahdk0ZTzmKjbx4/f7IrA==", "139dd1335e597d2c393a9f3b04ecd6af921d7bd6c136c81cf46ba80bc39cc2d8", -0.013688564f, 0.013688564f },
        { "iq3_xxs", "Aww+hA16Vmr2nkrO860StsvO/lhyK1rXX5MixymLBdTAjAwvY/wNPgWIZjHzlwaMiT3/5ar5LXLENAg2Z5bXpyoXHczLmPHkBo2bTZCtickrhIlJlO/GFFH9bVQGkeFEtM8=", "059fb7c882b4f121d0f95daf5105506f0f8458d5af21a1e902393bb718e0e17c", -0.013956785f, 0.023261309f },
        { "iq3_s", "gQyFBh/s/ObvSSpznWsyNpRpyJraQbBFsdYnXkq5dLVHxRlWxfYbci9k0U7ONQoZDm+ztE/RRe+Irg1m4V6zUEIZwuYhYghsTzg9EK/Ec8kb6BsbQGwJk68BAZeR/MapRCrsKNmI4RnRfZiM/bk=", "d28bfd0cba199dcf0552a064939a7eb56337cc3200e55ace85cf2f609a2a67e5", -0.014019728f, 0.023366213f },
    };

    [Theory]
    [MemberData(nameof(OfLlamaCpp))]
    public void Blocks_of_llama_cpp_read_as_llama_cpp_reads_them(string name, string base64, string sha256, float first, float second)
    {
        BlockFormat format = BlockFormat.Find(name)!;
        float[] values = new float[format.Size];
        format.Unpack(Convert.FromBase64String(base64), values);
        Assert.Equal([first, second], values[..2]);
        Assert.Equal(sha256, Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(values.AsSpan()))));
    }

    [Theory]
    [InlineData("q4_1"), InlineData("q5_0"), InlineData("q5_1")]
    public void Bytes_are_the_documented_ones(string name)
    {
        BlockFormat format = BlockFormat.Find(name)!;
        foreach (float[] values in Samples(32))
        {
            byte[] bytes = new byte[format.ByteCount];
            format.Pack(values, bytes);
            Assert.Equal(BlockOracle.Write(name, values), bytes);
        }
    }

    [Theory]
    [InlineData("q2_k"), InlineData("q3_k"), InlineData("q4_k"), InlineData("q5_k"), InlineData("q6_k"), InlineData("iq4_nl"), InlineData("iq4_xs"), InlineData("mxfp4")]
    public void Rounding_is_never_further_from_the_numbers_than_rounding_between_the_extremes(string name)
    {
        BlockFormat format = BlockFormat.Find(name)!;
        foreach (float[] values in Samples(256))
        {
            double error = BlockOracle.SquaredError(values, RoundTrip(format, values)), naive = BlockOracle.SquaredError(values, BlockOracle.Naive(name, values));
            Assert.True(error <= naive * 1.000001, $"{name}: {error}, between the extremes {naive}, for {values[0]}, {values[1]} ...");
        }
    }

    // Of what the numbers' deviation leaves: bits a weight buy about 6 dB each, and no type may fall far short of that.
    [Theory]
    [InlineData("q2_k", 0.09), InlineData("q3_k", 0.026), InlineData("q4_k", 0.006), InlineData("q5_k", 0.0016), InlineData("q6_k", 0.0004), InlineData("iq4_nl", 0.0065), InlineData("iq4_xs", 0.0067), InlineData("mxfp4", 0.013)]
    [InlineData("iq2_xxs", 0.12), InlineData("iq2_xs", 0.1), InlineData("iq2_s", 0.085), InlineData("iq3_xxs", 0.035), InlineData("iq3_s", 0.025)]
    public void Normal_numbers_lose_no_more_than_the_type_has_to(string name, double most)
    {
        Random random = new(3);
        float[] values = [.. Enumerable.Range(0, 64 * 256).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
        double error = BlockOracle.SquaredError(values, RoundTrip(BlockFormat.Find(name)!, values)) / values.Sum(value => (double)value * value);
        Assert.InRange(error, most / 2, most);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Numbers_past_what_a_half_scales_come_out_as_not_finite(string name)
    {
        BlockFormat format = BlockFormat.Find(name)!;
        float[] values = new float[format.Size];
        values[3] = 3e38f;
        Assert.Contains(RoundTrip(format, values), value => !float.IsFinite(value));
        CoppiceException error = Assert.Throws<CoppiceException>(() =>
            GgufWriter.Write(folder["a"], [], [new(new("w", new DenseWeight(Tensor.From([1, values.Length], values))), GgmlType.Of(format))]));
        Assert.Contains($"too large for {GgmlType.Of(format)}", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Dot_is_the_product_with_the_unpacked_numbers(string name)
    {
        BlockWeight weight = Any(name, 1, 256);
        float[] dense = weight.ToDense();
        Random random = new(1);
        float[] x = [.. dense.Select(_ => random.NextSingle() - 0.5f)];
        double wanted = dense.Zip(x, (w, value) => (double)w * value).Sum(), size = dense.Zip(x, (w, value) => Math.Abs((double)w * value)).Sum();
        // Codes and offsets cancel: sizes of both count.
        Assert.Equal(wanted, DotOf(weight, x), 1e-4 * size);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_file_with_them_is_read_and_written_as_it_was(string name)
    {
        BlockWeight weight = Any(name, 3, 512);
        GgufWriter.Write(folder["a"], [], [new(new("w", weight), GgmlType.Of(weight.Format))]);
        using Gguf gguf = Gguf.Open(folder["a"]);
        Assert.Equal(weight.Bytes.ToArray(), Assert.IsAssignableFrom<BlockWeight>(gguf.ReadWeight("w")).Bytes.ToArray());
        Assert.Equal(weight.ToDense(), gguf.ReadTensor("w").Data.ToArray());
        GgufWriter.Write(folder["b"], [], [new(new("w", gguf.ReadWeight("w")), GgmlType.Of(weight.Format))]);
        Assert.Equal(File.ReadAllBytes(folder["a"]), File.ReadAllBytes(folder["b"]));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void An_infinite_scale_in_a_file_is_refused(string name)
    {
        BlockWeight weight = Any(name, 1, 256);
        GgufWriter.Write(folder["a"], [], [new(new("w", weight), GgmlType.Of(weight.Format))]);
        byte[] file = File.ReadAllBytes(folder["a"]);
        int begin = file.AsSpan().IndexOf(weight.Bytes);
        foreach (int half in Layouts[name].Halves)
        {
            byte[] damaged = [.. file];
            damaged[begin + half + 1] = 0x7C;
            File.WriteAllBytes(folder["b"], damaged);
            using Gguf gguf = Gguf.Open(folder["b"]);
            Assert.Contains("'w' holds a number that is not finite", Assert.Throws<CoppiceException>(() => gguf.ReadWeight("w")).Message, StringComparison.Ordinal);
        }
    }

    static float DotOf(BlockWeight weight, float[] x) => weight switch
    {
        BlockWeight<Q8_0> blocks => Sum(blocks, x),
        BlockWeight<Q4_0> blocks => Sum(blocks, x),
        BlockWeight<Q4_1> blocks => Sum(blocks, x),
        BlockWeight<Q5_0> blocks => Sum(blocks, x),
        BlockWeight<Q5_1> blocks => Sum(blocks, x),
        BlockWeight<Q2_K> blocks => Sum(blocks, x),
        BlockWeight<Q3_K> blocks => Sum(blocks, x),
        BlockWeight<Q4_K> blocks => Sum(blocks, x),
        BlockWeight<Q5_K> blocks => Sum(blocks, x),
        BlockWeight<Q6_K> blocks => Sum(blocks, x),
        BlockWeight<IQ4_NL> blocks => Sum(blocks, x),
        BlockWeight<IQ4_XS> blocks => Sum(blocks, x),
        BlockWeight<MXFP4> blocks => Sum(blocks, x),
        BlockWeight<IQ2_XXS> blocks => Sum(blocks, x),
        BlockWeight<IQ2_XS> blocks => Sum(blocks, x),
        BlockWeight<IQ2_S> blocks => Sum(blocks, x),
        BlockWeight<IQ3_XXS> blocks => Sum(blocks, x),
        BlockWeight<IQ3_S> blocks => Sum(blocks, x),
        _ => throw new ArgumentException(weight.Kind),
    };

    static float Sum<TBlock>(BlockWeight<TBlock> weight, float[] x) where TBlock : unmanaged, IBlock<TBlock>
    {
        float sum = 0;
        for (int i = 0; i < weight.Blocks.Length; i++)
            sum += weight.Blocks[i].Dot(x.AsSpan(i * TBlock.Size));
        return sum;
    }

    static float[] RoundTrip(BlockFormat format, float[] values)
    {
        byte[] bytes = new byte[values.Length / format.Size * format.ByteCount];
        float[] stored = new float[values.Length];
        format.Pack(values, bytes);
        format.Unpack(bytes, stored);
        return stored;
    }

    static IEnumerable<float[]> Samples(int count)
    {
        yield return new float[count];
        yield return [.. Enumerable.Repeat(1f, count)];
        yield return [.. Enumerable.Repeat(-0.3f, count)];
        yield return [.. Enumerable.Range(0, count).Select(i => i == 7 ? -5f : 0)];
        yield return [.. Enumerable.Range(0, count).Select(i => i % 2 == 0 ? 3f : -3f)];
        yield return [.. Enumerable.Range(0, count).Select(i => i / 2f - 7.75f)];
        for (int seed = 0; seed < 60; seed++)
        {
            Random random = new(seed);
            float size = MathF.Pow(10, seed % 7 - 5), shift = seed % 3 - 1;
            yield return [.. Enumerable.Range(0, count).Select(_ => size * (shift * 0.7f + (float)(random.NextDouble() + random.NextDouble() - 1)) * (random.Next(40) == 0 ? 5 : 1))];
        }
    }
}
