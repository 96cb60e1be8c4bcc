using System.Buffers.Binary;
using System.Text;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Formats;

public sealed class GgufTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_layout_written_is_the_documented_one()
    {
        GgufWriter.Write(folder["a"], [new("general.architecture", "llama"), new("n", 7u), new("list", new[] { "x", "yz" })],
            [new(new("t", new DenseWeight(Tensor.From([1, 2], [1f, 2f]))), GgmlType.F32), new(new("u", Tensor.From([1], [3f])), GgmlType.F32)]);
        using MemoryStream wanted = new();
        using BinaryWriter w = new(wanted);
        w.Write("GGUF"u8); w.Write(3); w.Write(2L); w.Write(3L);
        Text("general.architecture"); w.Write(8); Text("llama");
        Text("n"); w.Write(4); w.Write(7);
        Text("list"); w.Write(9); w.Write(8); w.Write(2L); Text("x"); Text("yz");
        Text("t"); w.Write(2); w.Write(2L); w.Write(1L); w.Write(0); w.Write(0L);
        Text("u"); w.Write(1); w.Write(1L); w.Write(0); w.Write(32L);
        Pad(); w.Write(1f); w.Write(2f);
        Pad(); w.Write(3f);
        Pad();
        Assert.Equal(wanted.ToArray(), File.ReadAllBytes(folder["a"]));

        void Text(string text) { w.Write((long)text.Length); w.Write(Encoding.ASCII.GetBytes(text)); }
        void Pad() { while (wanted.Position % 32 != 0) w.Write((byte)0); }
    }

    [Fact]
    public void Blocks_left_in_their_file_tell_their_kind_and_size_unread()
    {
        GgufWriter.Write(folder["a"], [], [new(new("w", BlockWeight.From<Q4_0>(3, 64, new float[3 * 64])), GgmlType.Q4_0)]);
        Gguf gguf = Gguf.Open(folder["a"], WeightReading.OnDemand);
        Weight weight = gguf.OpenWeight("w"), rows = weight.Reorder([2, 0]);
        gguf.Dispose();
        Assert.Equal(("q4_0", 3 * 2 * 18, "q4_0", 2 * 2 * 18), (weight.Kind, weight.ByteCount, rows.Kind, rows.ByteCount));
        Assert.Throws<ObjectDisposedException>(() => weight.Unpack(0, new float[64]));
    }

    [Fact]
    public void Every_kind_of_metadata_survives()
    {
        Dictionary<string, object> metadata = new()
        {
            ["u8"] = (byte)1,
            ["i8"] = (sbyte)-1,
            ["u16"] = (ushort)2,
            ["i16"] = (short)-2,
            ["u32"] = 3u,
            ["i32"] = -3,
            ["f32"] = 0.5f,
            ["bool"] = true,
            ["string"] = "Grüße \0 €",
            ["u64"] = ulong.MaxValue,
            ["i64"] = long.MinValue,
            ["f64"] = Math.PI,
            ["a8"] = new byte[] { 1, 2 },
            ["ai8"] = new sbyte[] { -1 },
            ["au16"] = new ushort[] { 9 },
            ["ai16"] = new short[] { -9 },
            ["au32"] = new uint[] { 5 },
            ["ai32"] = new[] { -5, 6 },
            ["af"] = new[] { 1.5f },
            ["ab"] = new[] { true, false },
            ["as"] = new[] { "", "two" },
            ["au64"] = new[] { 7ul },
            ["ai64"] = new[] { -7L },
            ["ad"] = new[] { 0.25 },
            ["none"] = Array.Empty<string>(),
        };
        GgufWriter.Write(folder["a"], [.. metadata], []);
        using Gguf gguf = Gguf.Open(folder["a"]);
        Assert.Equal(metadata.Count, gguf.Metadata.Count);
        foreach ((string key, object value) in metadata)
            Assert.Equal(value, gguf.Metadata[key]);
        Assert.Equal(3, gguf.Get<int>("u32"));
        Assert.Equal(3L, gguf.Get<long>("u32"));
        Assert.Contains("key 'i32' is Int32 -3, wanted UInt32", Assert.Throws<CoppiceException>(() => gguf.Get<uint>("i32")).Message, StringComparison.Ordinal);
        Assert.Contains("has no key 'x'", Assert.Throws<CoppiceException>(() => gguf.Get<uint>("x")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("F32"), InlineData("F16"), InlineData("BF16"), InlineData("Q8_0"), InlineData("Q4_0")]
    public void Weights_survive_as_rounded(string typeName)
    {
        GgmlType type = GgmlType.All.Single(candidate => candidate.Name == typeName);
        float[] values = Numbers(5 * 64, 1);
        GgufWriter.Write(folder["a"], [], [new(new("w", new DenseWeight(Tensor.From([5, 64], values))), type), new(new("v", Tensor.From([64], values[..64])), GgmlType.F32)]);
        Weight wanted = typeName switch
        {
            "F32" => new DenseWeight(Tensor.From([5, 64], values)),
            "F16" => HalfWeight.From(HalfFormat.Float16, 5, 64, values),
            "BF16" => HalfWeight.From(HalfFormat.BFloat16, 5, 64, values),
            "Q8_0" => BlockWeight.From<Q8_0>(5, 64, values),
            _ => BlockWeight.From<Q4_0>(5, 64, values),
        };
        using Gguf gguf = Gguf.Open(folder["a"]);
        Assert.Equal([5L, 64], gguf.ShapeOf("w").ToArray());
        Assert.Equal(wanted.Kind, gguf.ReadWeight("w").Kind);
        Assert.Equal(wanted.ToDense(), gguf.ReadWeight("w").ToDense());
        Assert.Equal(wanted.ToDense(), gguf.ReadTensor("w").Data.ToArray());
        Assert.Equal(values[..64], gguf.ReadTensor("v").Data.ToArray());

        // What is stored so already is copied byte for byte.
        GgufWriter.Write(folder["b"], [], [new(new("w", gguf.ReadWeight("w")), type), new(new("v", gguf.ReadTensor("v")), GgmlType.F32)]);
        Assert.Equal(File.ReadAllBytes(folder["a"]), File.ReadAllBytes(folder["b"]));
    }

    [Fact]
    public void A_stated_alignment_is_kept()
    {
        GgufWriter.Write(folder["a"], [new("general.alignment", 64u)], [new(new("v", Tensor.From([3], [1f, 2f, 3f])), GgmlType.F32), new(new("w", Tensor.From([1], [4f])), GgmlType.F32)]);
        Assert.Equal(0, new FileInfo(folder["a"]).Length % 64);
        using Gguf gguf = Gguf.Open(folder["a"]);
        Assert.Equal([4f], gguf.ReadTensor("w").Data.ToArray());
    }

    [Fact]
    public void A_type_that_is_not_read_opens_and_is_named()
    {
        byte[] bytes = Sample();
        // The type of the first tensor, w [2, 64], follows its name and sizes; 2 becomes 40 (NVFP4), whose blocks are twice as long, in as many bytes.
        int at = bytes.AsSpan().IndexOf("w"u8) + 1 + 4 + 16;
        Assert.Equal(2, bytes[at]);
        bytes[at] = 40;
        File.WriteAllBytes(folder["k"], bytes);
        using Gguf gguf = Gguf.Open(folder["k"]);
        Assert.Contains("tensor 'w' is NVFP4, which is not read", Assert.Throws<CoppiceException>(() => gguf.ReadWeight("w")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("another format", 0, 0x50u, "does not start with GGUF")]
    [InlineData("old version", 4, 2u, "GGUF version 2, wanted 3")]
    [InlineData("big-endian", 4, 0x03000000u, "big-endian")]
    [InlineData("too many tensors", 8, 0xFFFFFFFFu, "cannot hold")]
    [InlineData("2^60 tensors", 12, 0x10000000u, "cannot hold")]
    [InlineData("too many keys", 20, 0x7FFFFFFFu, "cannot hold")]
    [InlineData("long key", 24, 0x7FFFFFFFu, "cannot hold")]
    public void A_hostile_header_is_refused(string what, int at, uint value, string said)
    {
        byte[] bytes = Sample();
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);
        File.WriteAllBytes(folder["h"], bytes);
        CoppiceException error = Assert.Throws<CoppiceException>(() => Gguf.Open(folder["h"]));
        Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{what}: {error.Message}");
    }

    [Theory]
    [InlineData("no axes", 0, 0u, "has 0 axes")]
    [InlineData("five axes", 0, 5u, "has 5 axes")]
    [InlineData("axis of 0", 12, 0u, "axis of 0")]
    [InlineData("negative axis", 16, 0x80000000u, "axis of -")]
    [InlineData("overflow", 16, 0x7FFFFFFFu, "more than 2^63")]
    [InlineData("no whole blocks", 4, 63u, "rows of 63 values, wanted a multiple of 32")]
    [InlineData("unknown type", 20, 77u, "is of type 77")]
    [InlineData("offset", 24, 32u, "begins at 32")]
    [InlineData("larger than the file", 12, 4000u, "is it cut short?")]
    public void A_hostile_tensor_is_refused(string what, int at, uint value, string said)
    {
        byte[] bytes = Sample();
        int info = bytes.AsSpan().IndexOf("w"u8) + 1;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(info + at), value);
        File.WriteAllBytes(folder["h"], bytes);
        CoppiceException error = Assert.Throws<CoppiceException>(() => Gguf.Open(folder["h"]));
        Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{what}: {error.Message}");
    }

    [Fact]
    public void Every_truncation_is_refused()
    {
        byte[] good = Sample();
        int last = good.Length - 20;       // the last tensor's 12 bytes are followed by padding that nobody needs
        for (int length = 0; length < last; length++)
        {
            File.WriteAllBytes(folder["cut"], good[..length]);
            Assert.Throws<CoppiceException>(() => Gguf.Open(folder["cut"]));
        }
    }

    [Fact]
    public void Damaged_files_are_read_or_refused() => Mutations.Check(Sample(), folder["damaged"], seed: 6, rounds: 1500, path =>
    {
        using Gguf gguf = Gguf.Open(path);
        foreach (string name in gguf.Names)
            gguf.ReadTensor(name);
    });

    [Fact]
    public void What_does_not_fit_its_type_is_refused_and_nothing_is_written()
    {
        Assert.Contains("[2, 48]: rows of 48 numbers, wanted a multiple of 32 for Q4_0", Assert.Throws<CoppiceException>(() =>
            GgufWriter.Write(folder["a"], [], [new(new("w", new DenseWeight(new Tensor([2, 48]))), GgmlType.Q4_0)])).Message, StringComparison.Ordinal);
        Assert.Contains("too large for Q4_0", Assert.Throws<CoppiceException>(() =>
            GgufWriter.Write(folder["a"], [], [new(new("w", Tensor.From([32], [.. Enumerable.Repeat(1e9f, 32)])), GgmlType.Q4_0)])).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    byte[] Sample()
    {
        float[] values = Numbers(128, 3);
        GgufWriter.Write(folder["sample"], [new("arch", "llama"), new("list", new[] { 1, 2, 3 }), new("tokens", new[] { "a", "b" })],
            [new(new("w", new DenseWeight(Tensor.From([2, 64], values))), GgmlType.Q4_0), new(new("h", Tensor.From([2, 8], values[..16])), GgmlType.F16), new(new("v", Tensor.From([3], values[..3])), GgmlType.F32)]);
        return File.ReadAllBytes(folder["sample"]);
    }

    static float[] Numbers(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
    }
}
