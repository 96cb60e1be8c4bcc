using System.IO.Compression;
using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Formats.PyTorch;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Formats.PyTorch;

public sealed class PyTorchCheckpointTests : IDisposable
{
    static readonly float[] Numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("zip.bin"), InlineData("legacy.bin")]
    public void What_PyTorch_wrote_is_read(string name)
    {
        using PyTorchCheckpoint model = PyTorchCheckpoint.Open(Asset(name));
        Assert.Equal(["bfloat16", "bias", "parameter", "part", "step", "turned", "weight"], model.Names.Order(StringComparer.Ordinal));
        Assert.Equal([1f, -2f, 0.5f, 0.25f], model.ReadWeight("weight").ToDense());
        Assert.Equal([3f, -1f], model.ReadTensor("bias").Data.ToArray());
        Assert.Equal([4L, 3], model.ShapeOf("turned").ToArray());
        Assert.Equal([0f, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11], model.ReadWeight("turned").ToDense());
        Assert.Equal([5f, 6, 9, 10], model.OpenWeight("part").ToDense());
        Assert.Equal([1f, -3f], model.ReadWeight("bfloat16").ToDense());
        Assert.Equal("bf16", model.ReadWeight("bfloat16").Kind);
        Assert.Equal([1.5f], model.ReadTensor("parameter").Data.ToArray());
        Assert.Equal([7], model.Find("step").ToInts());
        Assert.Equal("f32", model.OpenWeight("weight").Kind);
        Assert.Equal([1f, -2f, 0.5f, 0.25f], model.OpenWeight("weight").ToDense());
    }

    [Fact]
    public void Views_share_their_storage()
    {
        byte[] pickle = new PickleWriter().Raw('}', '(')
            .Text("whole").Tensor("FloatStorage", "0", 12, 0, [3, 4], [4, 1])
            .Text("turned").Tensor("FloatStorage", "0", 12, 0, [4, 3], [1, 4])
            .Text("corner").Tensor("FloatStorage", "0", 12, 5, [2, 2], [4, 2])
            .Text("one").Tensor("FloatStorage", "0", 12, 11, [], [])
            .Text("none").Tensor("FloatStorage", "0", 12, 12, [0, 3], [3, 1])
            .Text("row").Tensor("FloatStorage", "0", 12, 4, [1, 4], [99, 1])
            .Text("cube").Tensor("FloatStorage", "0", 12, 0, [2, 3, 2], [1, 4, 2])
            .Raw('u').Done();
        PickleWriter.Zip(folder["a.pt"], pickle, Storages(Numbers));
        using PyTorchCheckpoint model = PyTorchCheckpoint.Open(folder["a.pt"]);
        Assert.Equal(Numbers, model.ReadTensor("whole").Data.ToArray());
        Assert.Equal([1f, 5, 9, 2, 6, 10, 3, 7, 11, 4, 8, 12], model.ReadTensor("turned").Data.ToArray());
        Assert.Equal([6f, 8, 10, 12], model.ReadWeight("corner").ToDense());
        Assert.Equal([12f], model.ReadTensor("one").Data.ToArray());
        Assert.Empty(model.ReadTensor("none").Data.ToArray());
        Assert.Equal([5f, 6, 7, 8], model.ReadTensor("row").Data.ToArray());
        Assert.Equal([1f, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12], model.ReadTensor("cube").Data.ToArray());
    }

    [Fact]
    public void Every_type_is_read()
    {
        Dictionary<string, (string Storage, byte[] Bytes)> types = new()
        {
            ["double"] = ("DoubleStorage", Bytes<double>([1, -2])),
            ["half"] = ("HalfStorage", Bytes<Half>([(Half)1, (Half)(-2)])),
            ["long"] = ("LongStorage", Bytes<long>([1, -2])),
            ["int"] = ("IntStorage", Bytes<int>([1, -2])),
            ["short"] = ("ShortStorage", Bytes<short>([1, -2])),
            ["char"] = ("CharStorage", Bytes<sbyte>([1, -2])),
            ["bfloat16"] = ("BFloat16Storage", Bytes<ushort>([0x3F80, 0xC000])),
        };
        PickleWriter writer = new PickleWriter().Raw('}', '(');
        foreach ((string name, var type) in types)
            writer.Text(name).Tensor(type.Storage, name, 2, 0, [2], [1]);
        // What has no storage type of its own is a view of bytes, with its type behind it.
        writer.Text("float8").Global("torch._utils", "_rebuild_tensor_v3").Raw('(', '(').Text("storage").Global("torch.storage", "UntypedStorage").Text("f8").Text("cpu").Int(2).Raw('t', 'Q')
            .Int(0).Longs(2).Longs(1).Raw(0x89).Global("collections", "OrderedDict").Raw(')', 'R').Global("torch", "float8_e4m3fn").Raw('t', 'R');
        PickleWriter.Zip(folder["a.bin"], writer.Raw('u').Done(), types.ToDictionary(pair => pair.Key, pair => pair.Value.Bytes).Append(new("f8", [0x38, 0xC0])).ToDictionary(), byteOrder: "little");
        using PyTorchCheckpoint model = PyTorchCheckpoint.Open(folder["a.bin"]);
        foreach (string name in new[] { "double", "half", "bfloat16", "float8" })
            Assert.Equal([1f, -2f], model.ReadTensor(name).Data.ToArray());
        foreach (string name in new[] { "long", "int", "short", "char" })
            Assert.Equal([1, -2], model.Find(name).ToInts());
    }

    [Fact]
    public void A_folder_of_shards_is_opened_as_a_checkpoint()
    {
        PickleWriter.Zip(folder["pytorch_model-00001-of-00002.bin"], Model("a"), Storages(Numbers));
        PickleWriter.Zip(folder["pytorch_model-00002-of-00002.bin"], Model("b"), Storages([.. Numbers.Select(number => -number)]));
        File.WriteAllText(folder["pytorch_model.bin.index.json"], """{"metadata":{"total_size":96},"weight_map":{"a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}}""");
        using (ICheckpoint model = Checkpoint.Open(folder.Path))
        {
            Assert.Equal(Numbers, model.ReadWeight("a").ToDense());
            Assert.Equal(Numbers.Select(number => -number), model.ReadWeight("b").ToDense());
        }
        File.WriteAllText(folder["pytorch_model.bin.index.json"], """{"weight_map":{"a":"../x.bin"}}""");
        Assert.Contains("wanted a file beside the index", Assert.Throws<CoppiceException>(() => Checkpoint.Open(folder.Path)).Message, StringComparison.Ordinal);
        PickleWriter.Zip(folder["pytorch_model.bin"], Model("c"), Storages(Numbers));
        using (ICheckpoint model = Checkpoint.Open(folder.Path))
            Assert.Equal(["c"], model.Names);
    }

    [Theory]
    [InlineData("posix", "system"), InlineData("builtins", "eval"), InlineData("torch", "load"), InlineData("torch._utils", "_rebuild_sparse_tensor"), InlineData("argparse", "Namespace"), InlineData("torch.nn.modules.linear", "Linear"), InlineData("torch", "ComplexFloatStorage")]
    public void Every_other_name_is_refused_by_name(string module, string name)
    {
        foreach (byte[] pickle in new[]
        {
            new PickleWriter().Global(module, name).Text("touch x").Raw(0x85, 'R').Done(),
            new PickleWriter().Text(module).Text(name).Raw(0x93).Text("touch x").Raw(0x85, 'R').Done(),
        })
        {
            PickleWriter.Zip(folder["a.bin"], pickle, Storages(Numbers));
            Refuses($"asks for {module}.{name}, which is not read");
        }
    }

    public static TheoryData<string, byte[], string> Hostile => new()
    {
        { "no dict", new PickleWriter().Int(5).Done(), "holds no state dict" },
        { "an empty stack", new PickleWriter().Raw('a').Done(), "takes none" },
        { "an empty stack", new PickleWriter().Raw('0').Done(), "empty stack" },
        { "two values", new PickleWriter().Int(1).Int(2).Done(), "stops with 2 values" },
        { "no end", [0x80, 2, (byte)'}'], "is cut short" },
        { "a mark that is not there", new PickleWriter().Raw('t').Done(), "a mark that is not there" },
        { "below the mark", new PickleWriter().Int(1).Raw('(', 0x85).Done(), "empty stack" },
        { "never kept", new PickleWriter().Raw('h', 7).Done(), "recalls value 7" },
        { "a long text", [0x80, 2, (byte)'X', 0xFF, 0xFF, 0xFF, 0x7F], "a text of 2,147,483,647 bytes" },
        { "a longer text", [0x80, 4, 0x8D, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "a text of 18,446,744,073,709,551,615 bytes" },
        { "long bytes", [0x80, 4, 0x8E, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "goes on for" },
        { "a long number", [0x80, 2, 0x8B, 0, 1, 0, 0], "a whole number of 256 bytes" },
        { "protocol 0", [(byte)'I', (byte)'1', (byte)'\n', (byte)'.'], "opcode 0x49" },
        { "a class", new PickleWriter().Global("torch", "Size").Raw(')', 0x81).Done(), "opcode 0x81" },
        { "protocol 6", [0x80, 6], "of protocol 6" },
        { "a storage that is not there", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "9", 12, 0, [3, 4], [4, 1]).Raw('s').Done(), "has no storage '9'" },
        { "a storage elsewhere", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "../../etc/passwd", 12, 0, [3, 4], [4, 1]).Raw('s').Done(), "has no storage '../../etc/passwd'" },
        { "a large storage", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", 13, 0, [3, 4], [4, 1]).Raw('s').Done(), "has 48 bytes, too few for 13" },
        { "the largest storage", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", long.MaxValue, 0, [3, 4], [4, 1]).Raw('s').Done(), "too few for" },
        { "past the storage", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", 12, 1, [3, 4], [4, 1]).Raw('s').Done(), "up to number 12 of a storage of 12" },
        { "a far stride", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", 12, 0, [2, 2], [long.MaxValue / 2, 1]).Raw('s').Done(), "of a storage of 12" },
        { "a farther stride", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", 12, 0, [3, 2], [long.MaxValue, 1]).Raw('s').Done(), "more than any storage holds" },
        { "numbers without end", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", 12, 0, [1 << 30, 1 << 30], [0, 0]).Raw('s').Done(), "of a storage of 12" },
        { "a negative offset", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", 12, -1, [3, 4], [4, 1]).Raw('s').Done(), "do not fit" },
        { "a negative stride", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", 12, 11, [12], [-1]).Raw('s').Done(), "no whole number" },
        { "strides of other axes", new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", 12, 0, [3, 4], [1]).Raw('s').Done(), "do not fit" },
        { "one storage of two types", new PickleWriter().Raw('}', '(').Text("a").Tensor("FloatStorage", "0", 12, 0, [3, 4], [4, 1]).Text("b").Tensor("HalfStorage", "0", 12, 0, [3, 4], [4, 1]).Raw('u').Done(), "which another has as" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_hostile_pickle_is_refused(string what, byte[] pickle, string said)
    {
        PickleWriter.Zip(folder["a.bin"], pickle, Storages(Numbers));
        long before = GC.GetAllocatedBytesForCurrentThread();
        CoppiceException error = Assert.Throws<CoppiceException>(() => PyTorchCheckpoint.Open(folder["a.bin"]));
        Assert.True(error.Message.StartsWith(folder["a.bin"], StringComparison.Ordinal) && error.Message.Contains(said, StringComparison.Ordinal), $"{what}: {error.Message}");
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1_000_000, what);
    }

    [Fact]
    public void Copies_of_copies_and_endless_opcodes_are_cut_short()
    {
        // A list of 500,000 items that is made into a dict again and again.
        PickleWriter writer = new PickleWriter().Raw(']', 'q', 0).Int(1).Int(2).Raw(0x86, 'q', 1, '0', '(');
        for (int i = 0; i < 500_000; i++)
            writer.Raw('h', 1);
        writer.Raw('e', '0');
        for (int i = 0; i < 100; i++)
            writer.Global("collections", "OrderedDict").Raw('h', 0, 0x85, 'R', '0');
        PickleWriter.Zip(folder["a.bin"], writer.Done(), Storages(Numbers));
        Refuses("copies more than");
        PickleWriter.Zip(folder["a.bin"], new PickleWriter().Raw([.. Enumerable.Repeat((int)']', Pickle.MaxOpcodes + 1)]).Done(), Storages(Numbers), byteOrder: "little");
        Refuses("opcodes");
    }

    [Fact]
    public void Compressed_entries_and_another_byte_order_are_refused()
    {
        PickleWriter.Zip(folder["a.bin"], Model("a"), Storages([.. Enumerable.Repeat(1f, 12)]), CompressionLevel.Optimal);
        Refuses("is compressed by method 8, wanted stored");
        PickleWriter.Zip(folder["a.bin"], Model("a"), Storages(Numbers), byteOrder: "big");
        Refuses("byte order");
        File.WriteAllText(folder["a.bin"], "GGUF and more");
        Refuses("neither as a zip nor as a pickle");
    }

    [Theory]
    [InlineData("zip.bin"), InlineData("legacy.bin")]
    public void Every_truncation_is_refused(string name)
    {
        byte[] good = File.ReadAllBytes(Asset(name));
        for (int length = 0; length < good.Length; length++)
        {
            File.WriteAllBytes(folder["a.bin"], good[..length]);
            Assert.Throws<CoppiceException>(() => PyTorchCheckpoint.Open(folder["a.bin"]));
        }
    }

    [Theory]
    [InlineData("zip.bin"), InlineData("legacy.bin")]
    public void Damaged_files_are_read_or_refused(string name)
    {
        File.Copy(Asset(name), folder["pytorch_model.bin"]);
        Mutations.CheckFolder(folder, ["pytorch_model.bin"], seed: 41, rounds: 1500);
    }

    void Refuses(string said) => Assert.Contains(said, Assert.Throws<CoppiceException>(() => PyTorchCheckpoint.Open(folder["a.bin"])).Message, StringComparison.Ordinal);

    static byte[] Model(string name) => new PickleWriter().Raw('}').Text("state_dict").Raw('}').Text(name).Tensor("FloatStorage", "0", 12, 0, [3, 4], [4, 1]).Raw('s', 's').Done();

    static Dictionary<string, byte[]> Storages(float[] numbers) => new() { ["0"] = Bytes(numbers) };

    static byte[] Bytes<T>(T[] values) where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    static string Asset(string name) => Path.Combine(Repository.Root, "tests", "Coppice.Tests", "Formats", "PyTorch", name);
}
