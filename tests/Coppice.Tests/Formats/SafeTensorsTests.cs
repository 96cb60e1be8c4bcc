using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Formats;

public sealed class SafeTensorsTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_file_laid_out_by_hand_is_read()
    {
        string path = Craft("""{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}}  """,
            [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0x80, 0x3F, 0x40, 0xC0, 0, 0]);
        using SafeTensors tensors = SafeTensors.Open(path);
        Assert.Equal("pt", tensors.Metadata["format"]);
        Assert.Equal(["a", "b"], tensors.Names.Order());
        Assert.Equal([1f, -2f], tensors.ReadWeight("a").ToDense());
        Assert.Equal([1f, -3f, 0f], tensors.ReadTensor("b").Data.ToArray());
        Assert.Equal([3L], tensors.ShapeOf("b").ToArray());
    }

    [Fact]
    public void The_layout_written_is_the_documented_one()
    {
        SafeTensorsWriter.WriteFile(folder["a"],
        [
            TensorSource.Raw<byte>("z", DType.U8, [2], new byte[] { 7, 8 }),
            TensorSource.Floats("a", DType.F32, Tensor.From([1], [1f])),
        ], new Dictionary<string, string> { ["format"] = "pt" });
        byte[] bytes = File.ReadAllBytes(folder["a"]);
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        Assert.Equal(0, length % 8);
        Assert.Equal("""{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"z":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}""",
            Encoding.UTF8.GetString(bytes, 8, length).TrimEnd(' '));
        Assert.Equal([0, 0, 0x80, 0x3F, 7, 8], bytes[(8 + length)..]);
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.F16)]
    [InlineData(DType.BF16)]
    [InlineData(DType.F8_E4M3)]
    [InlineData(DType.F8_E5M2)]
    public void Numbers_survive_a_round_trip_as_rounded(DType type)
    {
        float[] values = Numbers(7 * 33, seed: 1);
        SafeTensorsWriter.WriteFile(folder["a"],
        [
            TensorSource.Dense("w", type, new DenseWeight(Tensor.From([7, 33], values))),
            TensorSource.Floats("b", type, Tensor.From([7, 33], values)),
        ]);
        float[] wanted = [.. values.Select(value => type switch
        {
            DType.F16 => (float)(Half)value,
            DType.BF16 => NearestBFloat16(value),
            DType.F8_E4M3 => Nearest(value, Coppice.Weights.Float8.Numbers(Float8Format.E4M3)),
            DType.F8_E5M2 => Nearest(value, Coppice.Weights.Float8.Numbers(Float8Format.E5M2)),
            _ => value,
        })];
        using SafeTensors tensors = SafeTensors.Open(folder["a"]);
        Assert.Equal(wanted, tensors.ReadWeight("w").ToDense());
        Assert.Equal(wanted, tensors.ReadTensor("b").Data.ToArray());
        Assert.Equal(type.ToString(), tensors.ReadWeight("w").Kind, ignoreCase: true);
    }

    [Fact]
    public void The_same_tensors_give_the_same_bytes_in_any_order()
    {
        TensorSource a = TensorSource.Raw<int>("a", DType.I32, [2], new[] { 1, 2 }), b = TensorSource.Raw<sbyte>("b", DType.I8, [1], new sbyte[] { 3 }), c = TensorSource.Raw<long>("c", DType.I64, [1], new[] { -5L });
        SafeTensorsWriter.WriteFile(folder["1"], [a, b, c]);
        SafeTensorsWriter.WriteFile(folder["2"], [c, a, b]);
        Assert.Equal(File.ReadAllBytes(folder["1"]), File.ReadAllBytes(folder["2"]));
        using SafeTensors tensors = SafeTensors.Open(folder["1"]);
        Assert.Equal([1, 2], tensors.Find("a").ToInts());
        Assert.Equal([-5], tensors.Find("c").ToInts());
        Assert.Equal([3], tensors.Find("b").ToInts());
    }

    [Fact]
    public void A_large_folder_is_sharded_and_read_back()
    {
        TensorSource[] sources = [.. Enumerable.Range(0, 5).Select(i => TensorSource.Floats($"t{i}", DType.F32, Tensor.From([10], Numbers(10, i))))];
        SafeTensorsWriter.WriteFolder(folder.Path, sources, options: new WritingOptions { ShardBytes = 80 });
        Assert.Equal(["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors.index.json"],
            Directory.GetFiles(folder.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        using SafeTensors tensors = SafeTensors.Open(folder.Path);
        Assert.Equal(5, tensors.Entries.Count);
        for (int i = 0; i < 5; i++)
            Assert.Equal(Numbers(10, i), tensors.ReadTensor($"t{i}").Data.ToArray());
    }

    [Fact]
    public void A_tensor_of_no_axes_or_no_numbers_is_read()
    {
        string path = Craft("""{"one":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"none":{"dtype":"F32","shape":[0,4],"data_offsets":[4,4]}}""", [0, 0, 0x80, 0x3F]);
        using SafeTensors tensors = SafeTensors.Open(path);
        Assert.Equal([1f], tensors.ReadTensor("one").Data.ToArray());
        Assert.Empty(tensors.ReadTensor("none").Data.ToArray());
    }

    [Theory]
    [InlineData("overlap", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}""", "'b' begins at 2")]
    [InlineData("same bytes twice", """{"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]},"b":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}}""", "overlap")]
    [InlineData("gap", """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}""", "'b' begins at 4")]
    [InlineData("hole at the start", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}""", "'a' begins at 2")]
    [InlineData("bytes left over", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "end at 4")]
    [InlineData("past the end", """{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}""", "the file has 6 bytes")]
    [InlineData("backwards", """{"a":{"dtype":"U8","shape":[0],"data_offsets":[6,0]}}""", "[6, 0]")]
    [InlineData("negative offset", """{"a":{"dtype":"U8","shape":[6],"data_offsets":[-6,0]}}""", "whole number")]
    [InlineData("negative size", """{"a":{"dtype":"U8","shape":[-2,-3],"data_offsets":[0,6]}}""", "whole number")]
    [InlineData("fraction", """{"a":{"dtype":"U8","shape":[6.5],"data_offsets":[0,6]}}""", "whole number")]
    [InlineData("2^64 size", """{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,6]}}""", "whole number")]
    [InlineData("product overflows", """{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,6]}}""", "not U8 [4294967296, 4294967296]")]
    [InlineData("product overflows to fit", """{"a":{"dtype":"F16","shape":[3,3074457345618258603],"data_offsets":[0,6]}}""", "is not F16")]
    [InlineData("wrong size for dtype", """{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,6]}}""", "6 bytes, which is not F32 [6]")]
    [InlineData("unknown dtype", """{"a":{"dtype":"F37","shape":[6],"data_offsets":[0,6]}}""", "unknown dtype 'F37'")]
    [InlineData("numeric dtype", """{"a":{"dtype":"13","shape":[6],"data_offsets":[0,6]}}""", "unknown dtype '13'")]
    [InlineData("twice", """{"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]},"a":{"dtype":"U8","shape":[0],"data_offsets":[6,6]}}""", "'a' is there twice")]
    [InlineData("no shape", """{"a":{"dtype":"U8","data_offsets":[0,6]}}""", "lacks")]
    [InlineData("three offsets", """{"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6,6]}}""", "lacks")]
    [InlineData("unknown key", """{"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6],"$type":"x"}}""", "unknown key '$type'")]
    [InlineData("metadata of numbers", """{"__metadata__":{"a":1},"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}}""", "header")]
    [InlineData("no object", """[1]""", "header")]
    [InlineData("nested", """{"a":{"dtype":"U8","shape":[[[[[6]]]]],"data_offsets":[0,6]}}""", "header")]
    [InlineData("not closed", """{"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}""", "header")]
    [InlineData("more than one object", """{"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}}{}""", "header")]
    [InlineData("half a surrogate", """{"\ud800":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}}""", "header")]
    [InlineData("empty", "", "header")]
    public void A_hostile_header_is_refused(string what, string header, string said)
    {
        string path = Craft(header, new byte[6]);
        CoppiceException error = Assert.Throws<CoppiceException>(() => SafeTensors.Open(path));
        Assert.True(error.Message.StartsWith(path, StringComparison.Ordinal) && error.Message.Contains(said, StringComparison.Ordinal), $"{what}: {error.Message}");
    }

    [Theory]
    [InlineData(1UL << 60)]
    [InlineData(ulong.MaxValue)]
    [InlineData(100_000_001UL)]
    [InlineData(1_000UL)]
    public void A_header_longer_than_the_file_or_the_limit_is_refused_unread(ulong length)
    {
        byte[] bytes = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        File.WriteAllBytes(folder["a"], bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        CoppiceException error = Assert.Throws<CoppiceException>(() => SafeTensors.Open(folder["a"]));
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1_000_000);
        Assert.Contains($"claims a header of {length:N0} bytes", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_truncation_is_refused()
    {
        byte[] good = File.ReadAllBytes(Sample());
        for (int length = 0; length < good.Length; length++)
        {
            File.WriteAllBytes(folder["cut"], good[..length]);
            Assert.Throws<CoppiceException>(() => SafeTensors.Open(folder["cut"]));
        }
    }

    [Theory]
    [InlineData("../a.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("..")]
    [InlineData("sub/a.safetensors")]
    [InlineData("C:\\a.safetensors")]
    [InlineData("a\nb.safetensors")]
    [InlineData("")]
    public void A_shard_outside_the_folder_is_refused(string shard)
    {
        string json = System.Text.Json.JsonSerializer.Serialize(shard);
        File.WriteAllText(folder["model.safetensors.index.json"], $$$"""{"weight_map":{"a":{{{json}}}}}""");
        CoppiceException error = Assert.Throws<CoppiceException>(() => SafeTensors.Open(folder.Path));
        Assert.Contains("wanted a file beside the index", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_in_two_shards_is_refused()
    {
        SafeTensorsWriter.WriteFile(folder["x.safetensors"], [TensorSource.Floats("a", DType.F32, Tensor.From([1], [1f])), TensorSource.Floats("b", DType.F32, Tensor.From([1], [2f]))]);
        SafeTensorsWriter.WriteFile(folder["y.safetensors"], [TensorSource.Floats("b", DType.F32, Tensor.From([1], [3f]))]);
        File.WriteAllText(folder["model.safetensors.index.json"], """{"weight_map":{"a":"x.safetensors","b":"y.safetensors"}}""");
        Assert.Contains("'b' is one that model.safetensors.index.json puts into another shard", Assert.Throws<CoppiceException>(() => SafeTensors.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("8", null)]
    [InlineData("8.0", null)]
    [InlineData("9", "says 9 bytes in all, the shards have 8")]
    [InlineData("-8", "total_size is -8")]
    [InlineData("1e99", "total_size is 1e99")]
    [InlineData("\"8\"", "total_size is String")]
    public void The_indexs_total_size_is_checked(string size, string? said)
    {
        SafeTensorsWriter.WriteFile(folder["x.safetensors"], [TensorSource.Floats("a", DType.F32, Tensor.From([2], [1f, 2f]))]);
        File.WriteAllText(folder["model.safetensors.index.json"], $$$"""{"metadata":{"total_size":{{{size}}}},"weight_map":{"a":"x.safetensors"}}""");
        if (said is null)
            SafeTensors.Open(folder.Path).Dispose();
        else
            Assert.Contains(said, Assert.Throws<CoppiceException>(() => SafeTensors.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_shard_without_its_tensor_is_refused()
    {
        File.Copy(Sample(), folder["x.safetensors"]);
        File.WriteAllText(folder["model.safetensors.index.json"], """{"weight_map":{"w":"x.safetensors","other":"x.safetensors"}}""");
        CoppiceException error = Assert.Throws<CoppiceException>(() => SafeTensors.Open(folder.Path));
        Assert.Contains("has no tensor 'other'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_folder_or_tensor_is_one_clear_line()
    {
        Assert.Contains("could not be read", Assert.Throws<CoppiceException>(() => SafeTensors.Open(folder["none"])).Message, StringComparison.Ordinal);
        Assert.Contains("has neither", Assert.Throws<CoppiceException>(() => SafeTensors.Open(folder.Path)).Message, StringComparison.Ordinal);
        using SafeTensors tensors = SafeTensors.Open(Sample());
        Assert.Contains("has no tensor 'lm_head'", Assert.Throws<CoppiceException>(() => tensors.ReadWeight("lm_head")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(DType.F32, float.NaN)]
    [InlineData(DType.F16, float.PositiveInfinity)]
    [InlineData(DType.BF16, float.NaN)]
    public void A_number_that_is_not_finite_is_refused_by_place(DType type, float wrong)
    {
        float[] values = new float[100];
        values[77] = wrong;
        SafeTensorsWriter.WriteFile(folder["a"], [TensorSource.Floats("w", type, Tensor.From([10, 10], values))]);
        using SafeTensors tensors = SafeTensors.Open(folder["a"]);
        Assert.Contains("tensor 'w' holds a number that is not finite at 77", Assert.Throws<CoppiceException>(() => tensors.ReadWeight("w")).Message, StringComparison.Ordinal);
        Assert.Contains("not finite at 77", Assert.Throws<CoppiceException>(() => tensors.ReadTensor("w")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_number_too_large_for_half_is_refused_and_nothing_is_written()
    {
        CoppiceException error = Assert.Throws<CoppiceException>(() =>
            SafeTensorsWriter.WriteFile(folder["a"], [TensorSource.Floats("w", DType.F16, Tensor.From([2], [1f, 70_000f]))]));
        Assert.Contains("70000, too large for F16", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void Damaged_files_are_read_or_refused() => Mutations.Check(File.ReadAllBytes(Sample()), folder["damaged"], seed: 4, rounds: 1500, path =>
    {
        using SafeTensors tensors = SafeTensors.Open(path);
        foreach (string name in tensors.Names)
            tensors.ReadTensor(name);
    });

    [Fact]
    public void A_damaged_index_is_read_or_refused()
    {
        SafeTensorsWriter.WriteFolder(folder.Path, [TensorSource.Floats("a", DType.F32, Tensor.From([10], Numbers(10, 1))), TensorSource.Floats("b", DType.F32, Tensor.From([10], Numbers(10, 2)))], options: new WritingOptions { ShardBytes = 40 });
        byte[] good = File.ReadAllBytes(folder["model.safetensors.index.json"]);
        Mutations.Check(good, folder["model.safetensors.index.json"], seed: 5, rounds: 500, _ => SafeTensors.Open(folder.Path).Dispose());
    }

    string Sample()
    {
        SafeTensorsWriter.WriteFile(folder["sample"],
        [
            TensorSource.Floats("w", DType.F32, Tensor.From([3, 4], Numbers(12, 1))),
            TensorSource.Floats("h", DType.F16, Tensor.From([2, 4], Numbers(8, 2))),
            TensorSource.Floats("b", DType.BF16, Tensor.From([5], Numbers(5, 3))),
        ], new Dictionary<string, string> { ["format"] = "pt" });
        return folder["sample"];
    }

    string Craft(string header, byte[] data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header), bytes = new byte[8 + json.Length + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, json.Length);
        json.CopyTo(bytes, 8);
        data.CopyTo(bytes, 8 + json.Length);
        File.WriteAllBytes(folder["crafted"], bytes);
        return folder["crafted"];
    }

    static float[] Numbers(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() - 0.5f) * 8)];
    }

    // Ties between neighbours go to the even code, and codes are in order of magnitude.
    static float Nearest(float value, ReadOnlySpan<float> numbers) =>
        numbers.ToArray().Select((number, code) => (number, code)).Where(pair => float.IsFinite(pair.number)).MinBy(pair => (Math.Abs((double)pair.number - value), pair.code & 1)).number;

    // By definition: the nearer of the two neighbours, and of two equally near the one whose last bit is 0.
    static float NearestBFloat16(float value)
    {
        float down = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(value) & 0xFFFF0000);
        float up = BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(value) & 0xFFFF0000) + 0x10000);
        double toDown = Math.Abs((double)value - down), toUp = Math.Abs((double)value - up);
        bool even = (BitConverter.SingleToUInt32Bits(down) >> 16 & 1) == 0;
        return toDown < toUp || toDown == toUp && even ? down : up;
    }
}
