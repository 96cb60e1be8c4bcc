using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Formats.PyTorch;
using Coppice.Tensors;
using Coppice.Tests.Formats.PyTorch;
using Coppice.Tests.Weights;
using Coppice.Tests.Weights.Blocks;
using Coppice.Weights;
using Coppice.Weights.Blocks;
using FsCheck;
using FsCheck.Fluent;

namespace Coppice.Tests.Formats;

/// <summary>What holds for every matrix, view and pickle, tried on generated ones; the same ones every time, and a failure is shrunk to a small one.</summary>
public sealed class FormatProperties : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    // Quiet: the console may be a command line test's at that moment.
    static Config Tests(int count) => Config.QuickThrowOnFailure.WithMaxTest(count).WithReplay(20_261_124, 13).WithQuietOnSuccess(true);

    /// <summary>Sizes of an integer matrix: bits, groups a row, words of outputs, group size, and what else differs.</summary>
    public sealed record Sizes(int Bits, int Groups, int Outputs, int GroupSize, bool Symmetric, bool Ordered, bool WholeRow, int Seed)
    {
        public Weight Make()
        {
            Random random = new(Seed);
            int columns = Groups * GroupSize, groups = WholeRow ? 1 : Groups;
            byte[] codes = [.. Enumerable.Range(0, Outputs * columns).Select(_ => (byte)random.Next(1 << Bits))];
            byte[] zeros = Symmetric ? [] : [.. Enumerable.Range(0, Outputs * groups).Select(_ => (byte)random.Next(1 << Bits))];
            IntWeight weight = new(Bits, WholeRow ? IntWeight.WholeRow : GroupSize, Outputs, columns, codes, [.. Enumerable.Range(0, Outputs * groups).Select(_ => (Half)random.NextSingle())], zeros);
            int[] order = [.. Enumerable.Range(0, columns)];
            random.Shuffle(order);
            return Ordered ? weight : new PermutedWeight(weight, order);
        }
    }

    static Arbitrary<Sizes> Matrices(int[] bits, int[] groupSizes, int outputsStep, bool permuted) => (
        from b in Gen.Elements(bits)
        from groups in Gen.Choose(1, 4)
        from outputs in Gen.Choose(1, 3)
        from size in Gen.Elements(groupSizes)
        from symmetric in Gen.Elements(true, false)
        from ordered in Gen.Elements(true, !permuted)
        from whole in Gen.Elements(true, false)
        from seed in Gen.Choose(0, 1000)
        select new Sizes(b, groups, outputs * outputsStep, size, symmetric, ordered || whole, whole, seed)).ToArbitrary();

    [Fact]
    public void Integers_survive_GPTQ() => Prop.ForAll(Matrices([2, 3, 4, 8], [32, 64], 32, permuted: true), sizes =>
    {
        (var tensors, GptqConfig? config) = GptqTensors.Encode([new("a.weight", sizes.Make())], DType.F16);
        return Survives(sizes, tensors, config!.ToJson());
    }).Check(Tests(60));

    [Fact]
    public void Integers_survive_AWQ() => Prop.ForAll(Matrices([4], [8, 32, 40], 8, permuted: false), sizes =>
    {
        (var tensors, AwqConfig? config) = AwqTensors.Encode([new("a.weight", sizes.Make())], DType.F16);
        return Survives(sizes, tensors, config!.ToJson());
    }).Check(Tests(40));

    [Fact]
    public void Integers_survive_compressed_tensors() => Prop.ForAll(Matrices([1, 2, 3, 4, 5, 6, 7, 8], [1, 5, 16, 32], 1, permuted: true), sizes =>
    {
        (var tensors, CompressionConfig? config) = CompressedTensors.Encode([new("a.weight", sizes.Make())], DType.F16, sizes.Seed % 2 == 0 ? CompressionFormat.PackQuantized : CompressionFormat.IntQuantized);
        return Survives(sizes, tensors, config!.ToJson());
    }).Check(Tests(100));

    bool Survives(Sizes sizes, IEnumerable<TensorSource> tensors, JsonObject config)
    {
        SafeTensorsWriter.WriteFile(folder["model.safetensors"], tensors);
        File.WriteAllText(folder["config.json"], new JsonObject { ["quantization_config"] = config }.ToJsonString());
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        return read.ReadWeight("a.weight").ToDense().AsSpan().SequenceEqual(sizes.Make().ToDense());
    }

    /// <summary>A matrix of any bytes in some block type: its name, rows, blocks a row.</summary>
    public sealed record Blocks(string Type, int Rows, int BlocksPerRow);

    [Fact]
    public void Any_blocks_survive_GGUF() => Prop.ForAll((
        from type in Gen.Elements(BlockFormat.All.ToArray())
        from rows in Gen.Choose(1, 5)
        from blocks in Gen.Choose(1, 5)
        select new Blocks(type.Name, rows, blocks)).ToArbitrary(), sizes =>
    {
        BlockWeight weight = BlockFormatTests.Any(sizes.Type, sizes.Rows, sizes.BlocksPerRow * BlockFormat.Find(sizes.Type)!.Size);
        GgufWriter.Write(folder["a.gguf"], [], [new(new("before", Tensor.From([3], [1f, 2f, 3f])), GgmlType.F32), new(new("w", weight), GgmlType.Of(weight.Format))]);
        using Gguf read = Gguf.Open(folder["a.gguf"]);
        return ((BlockWeight)read.ReadWeight("w")).Bytes.SequenceEqual(weight.Bytes) && read.ReadTensor("w").Data.SequenceEqual(weight.ToDense());
    }).Check(Tests(100));

    [Fact]
    public void Damaged_blocks_are_read_or_refused()
    {
        DenseWeight matrix = new(Tensor.From([1, 256], [.. Enumerable.Range(0, 256).Select(i => MathF.Sin(i))]));
        GgufWriter.Write(folder["good.gguf"], [new("general.architecture", "none")], [.. BlockFormat.All.Select(format => new GgufWriter.Source(new(format.Name, matrix), GgmlType.Of(format)))]);
        Mutations.Check(File.ReadAllBytes(folder["good.gguf"]), folder["a.gguf"], seed: 3, rounds: 600, path =>
        {
            using Gguf gguf = Gguf.Open(path);
            foreach (string name in gguf.Names)
                gguf.ReadTensor(name);
        });
    }

    /// <summary>A view of a storage of 0, 1, 2 ...</summary>
    public sealed record View(long[] Shape, long[] Strides, long Offset)
    {
        public long Last => Offset + Shape.Zip(Strides, (size, stride) => (size - 1) * stride).Sum();

        public float[] Numbers()
        {
            List<float> numbers = [];
            Visit(0, Offset);
            return [.. numbers];

            void Visit(int axis, long at)
            {
                if (axis == Shape.Length)
                    numbers.Add(at);
                else
                    for (int i = 0; i < Shape[axis]; i++)
                        Visit(axis + 1, at + i * Strides[axis]);
            }
        }
    }

    [Fact]
    public void Every_view_is_put_in_order() => Prop.ForAll((
        from axes in Gen.Choose(1, 4)
        from shape in Gen.ArrayOf(Gen.Choose(1, 5), axes)
        from strides in Gen.ArrayOf(Gen.Choose(1, 9), axes)
        from offset in Gen.Choose(0, 7)
        select new View(Array.ConvertAll(shape, size => (long)size), Array.ConvertAll(strides, stride => (long)stride), offset)).ToArbitrary(), view =>
    {
        float[] storage = [.. Enumerable.Range(0, (int)view.Last + 1).Select(i => (float)i)], wanted = view.Numbers();
        PickleWriter.Zip(folder["a.bin"], new PickleWriter().Raw('}').Text("w").Tensor("FloatStorage", "0", storage.Length, view.Offset, view.Shape, view.Strides).Raw('s').Done(),
            new Dictionary<string, byte[]> { ["0"] = MemoryMarshal.AsBytes(storage.AsSpan()).ToArray() });
        if (wanted.Length > storage.Length)
            return Refuses();
        using PyTorchCheckpoint model = PyTorchCheckpoint.Open(folder["a.bin"]);
        float[] part = new float[(wanted.Length + 1) / 2];
        model.Find("w").ReadFloats(wanted.Length / 2, part);
        return model.ReadTensor("w").Data.SequenceEqual(wanted) && part.AsSpan().SequenceEqual(wanted.AsSpan(wanted.Length / 2));
    }).Check(Tests(150));

    [Fact]
    public void Any_opcodes_are_read_or_refused() => Prop.ForAll(Gen.ListOf(Gen.Frequency((6, Gen.Elements(Snippets)), (1, Gen.Choose(0, 255).Select(opcode => new[] { opcode })))).Select(parts => parts.ToArray()).ToArbitrary(), parts =>
    {
        PickleWriter writer = new PickleWriter().Raw('}', 'q', 0);
        foreach (int[] part in parts)
            writer.Raw(part);
        PickleWriter.Zip(folder["a.bin"], writer.Done(), new Dictionary<string, byte[]> { ["0"] = new byte[16] });
        try
        {
            PyTorchCheckpoint.Open(folder["a.bin"]).Dispose();
            return true;
        }
        catch (CoppiceException error)
        {
            return !error.Message.Contains('\n', StringComparison.Ordinal);
        }
    }).Check(Tests(1000));

    // Pieces that fit one another often enough to go deep.
    static readonly int[][] Snippets =
    [
        ['('], ['t'], ['}'], ['u'], ['s'], [']'], ['e'], ['a'], ['R'], ['Q'], ['b'], ['0'], ['1'], ['2'], ['N'], [')'], [0x85], [0x86], [0x87], [0x88], [0x94], ['q', 1], ['h', 0], ['h', 1], ['K', 2], ['K', 0], ['X', 1, 0, 0, 0, '0'],
        [0x8C, 7, .. "storage".Select(letter => (int)letter)], [.. "ctorch\nFloatStorage\n".Select(letter => (int)letter)], [.. "ctorch._utils\n_rebuild_tensor_v2\n".Select(letter => (int)letter)],
        [.. "ccollections\nOrderedDict\n".Select(letter => (int)letter)], [.. "ctorch\nSize\n".Select(letter => (int)letter)], new PickleWriter().Tensor("FloatStorage", "0", 4, 0, [2, 2], [2, 1]).Done()[2..^1].Select(b => (int)b).ToArray(),
    ];

    bool Refuses()
    {
        Assert.Throws<CoppiceException>(() => PyTorchCheckpoint.Open(folder["a.bin"]));
        return true;
    }
}
