using Coppice.Export;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Cli;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Weights;

namespace Coppice.Tests.Export;

public sealed class ConversionTests : IDisposable
{
    readonly TinyFolder tiny = new();
    readonly WorkerPool pool = new(2);

    public void Dispose()
    {
        pool.Dispose();
        tiny.Dispose();
    }

    [Theory]
    [InlineData(4, 32, false), InlineData(4, 32, true), InlineData(4, 64, true), InlineData(8, 32, false)]
    public void Integers_keep_every_number_from_container_to_container(int bits, int groupSize, bool isSymmetric)
    {
        string start = Packed(bits, groupSize, isSymmetric);
        ModelFormat[] path = bits == 4
            ? [ModelFormat.Gptq, ModelFormat.Awq, ModelFormat.CompressedTensors, ModelFormat.Awq, ModelFormat.Gptq, ModelFormat.CompressedTensors]
            : [ModelFormat.Gptq, ModelFormat.CompressedTensors];
        string at = start;
        foreach ((ModelFormat format, int step) in path.Select((format, step) => (format, step)))
        {
            string next = tiny[$"step{step}"];
            ConversionReport report = Convert(at, next, format);
            Assert.True(report.IsLossless);
            Assert.Equal(0, report.MaxError);
            // Not only the report says so: the loaded models agree, and the matrices are integers still.
            Same(start, next, weight => Assert.StartsWith($"int{bits}", weight.Kind, StringComparison.Ordinal));
            at = next;
        }
        Assert.Equal(TinyFolder.Bytes(start)["model.safetensors"], TinyFolder.Bytes(at)["model.safetensors"]);
    }

    [Theory]
    [InlineData(4, 32, true, "q4_0"), InlineData(4, 64, true, "q4_0"), InlineData(3, 32, true, "q4_0"), InlineData(2, IntWeight.WholeRow, true, "q4_0"), InlineData(8, 32, true, "q8_0"), InlineData(5, 32, false, "q8_0"), InlineData(4, 32, false, "q8_0")]
    public void Grids_that_lie_in_llama_cpp_s_blocks_come_into_a_gguf_and_back(int bits, int groupSize, bool isSymmetric, string kind)
    {
        string start = Packed(bits, groupSize, isSymmetric), file = tiny["m.gguf"], back = tiny["back"];
        Assert.True(Convert(start, file, ModelFormat.Gguf).IsLossless);
        Same(start, file, weight => Assert.Equal(kind, weight.Kind));
        Assert.True(Convert(file, back, ModelFormat.CompressedTensors).IsLossless);
        Same(start, back, weight => Assert.Equal(kind == "q4_0" ? "int4-g32" : "int8-g32", weight.Kind));
    }

    [Theory]
    [InlineData(4, false), InlineData(4, true), InlineData(8, false), InlineData(8, true)]
    public void Matrices_of_several_bands_of_rows_keep_every_number(int bits, bool isOrdered)
    {
        Random random = new(bits);
        const int Rows = 1608, Columns = 1024;
        Half[] Scales() => [.. Enumerable.Range(0, Rows * Columns / 64).Select(_ => (Half)random.NextSingle())];
        byte[] Codes(int count) => [.. Enumerable.Range(0, count).Select(_ => (byte)random.Next(1, 1 << bits))];
        IntWeight weight = new(bits, 64, Rows, Columns, Codes(Rows * Columns), Scales(), Codes(Rows * Columns / 64));
        int[] order = [.. Enumerable.Range(0, Columns)];
        random.Shuffle(order);
        // Inputs of a group in their own order, as every container has them.
        order = [.. order.Chunk(64).SelectMany(group => group.Order())];
        Weight stored = isOrdered ? new PermutedWeight(weight, order) : weight;
        string start = tiny["start"];
        Directory.CreateDirectory(start);
        (var tensors, CompressionConfig? config) = CompressedTensors.Encode([new("a.weight", stored)], DType.F16);
        SafeTensorsWriter.WriteFolder(start, tensors, new Dictionary<string, string> { ["format"] = "pt" });
        File.WriteAllText(Path.Combine(start, "config.json"), new System.Text.Json.Nodes.JsonObject { ["quantization_config"] = config!.ToJson() }.ToJsonString());
        string at = start;
        foreach (ModelFormat format in (ModelFormat[])[ModelFormat.Gptq, .. bits == 4 && !isOrdered ? [ModelFormat.Awq] : (ModelFormat[])[], ModelFormat.CompressedTensors])
        {
            string next = tiny[$"{format}"];
            Assert.True(Convert(at, next, format).IsLossless);
            using ICheckpoint read = Checkpoint.Open(next);
            Assert.Equal(stored.ToDense(), read.ReadWeight("a.weight").ToDense());
            at = next;
        }
        Assert.Equal(TinyFolder.Bytes(start)["model.safetensors"], TinyFolder.Bytes(at)["model.safetensors"]);
    }

    [Fact]
    public void Grids_whose_smallest_numbers_are_halves_come_into_q4_1_and_back()
    {
        LanguageModel copy = LanguageModel.Load(tiny.Model);
        Random random = new(1);
        foreach ((_, MatrixLayer layer) in copy.Model.Matrices().Where(matrix => matrix.Name.EndsWith("up_proj", StringComparison.Ordinal)))
        {
            byte[] Codes(int count) => [.. Enumerable.Range(0, count).Select(_ => (byte)random.Next(16))];
            int groups = layer.Weight.Shape.Length / 32;
            // Scales of seven bits, so that 15 times one is a half still.
            Half[] scales = [.. Enumerable.Range(0, groups).Select(_ => (Half)((64 + random.Next(64)) / 4096.0))];
            layer.Weight = new IntWeight(4, 32, layer.Weight.Rows, layer.Weight.Columns, Codes(layer.Weight.Shape.Length), scales, Codes(groups));
        }
        copy.Save(tiny["start"], DType.F16);
        Assert.True(Convert(tiny["start"], tiny["m.gguf"], ModelFormat.Gguf).IsLossless);
        Same(tiny["start"], tiny["m.gguf"], weight => Assert.Equal("q4_1", weight.Kind));
        Assert.True(Convert(tiny["m.gguf"], tiny["back"], ModelFormat.Awq).IsLossless);
        Same(tiny["start"], tiny["back"], weight => Assert.Equal("int4-g32-asym", weight.Kind));
    }

    [Theory]
    [InlineData(4, 16, true, ModelFormat.Gguf, "no type of GGUF has the grid of int4-g16"), InlineData(8, 32, true, ModelFormat.Awq, "has codes of 8 bits, wanted 4"), InlineData(5, 32, true, ModelFormat.Gptq, "has codes of 5 bits, wanted 2, 3, 4 or 8"), InlineData(8, 32, false, ModelFormat.Gguf, "no type of GGUF has the grid of int8-g32-asym")]
    public void What_has_no_grid_there_is_refused_and_rounded_only_when_told(int bits, int groupSize, bool isSymmetric, ModelFormat format, string reason)
    {
        string start = Packed(bits, groupSize, isSymmetric), output = format == ModelFormat.Gguf ? tiny["m.gguf"] : tiny["out"];
        CoppiceException error = Assert.Throws<CoppiceException>(() => Convert(start, output, format));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.Contains(".weight' would have to be rounded again", error.Message, StringComparison.Ordinal);
        Assert.False(Path.Exists(output));
        Assert.False(Path.Exists(output + ".journal"));
        // Plain numbers of 32 bits hold any grid.
        if (format == ModelFormat.Gguf)
        {
            Assert.True(Convert(start, output, format, type: "f32").IsLossless);
            ConversionReport report = Convert(start, output, format, Requantizing.Allowed);
            Assert.False(report.IsLossless);
            ConvertedTensor rounded = report.Tensors.Single(tensor => tensor.Name == "model.layers.1.mlp.up_proj.weight");
            Assert.Contains(reason, rounded.Reason, StringComparison.Ordinal);
            Assert.Equal("f16", rounded.To);
            // The largest error is that of halves: found again with plain loops.
            float[] before = Matrix(start, rounded.Name), after = Matrix(output, rounded.Name);
            Assert.Equal(before.Zip(after).Max(pair => Math.Abs((double)pair.First - pair.Second)), rounded.MaxError);
            Assert.Equal(before.Zip(after).Count(pair => pair.First != pair.Second), rounded.Changed);
            Assert.Equal(before.Select(value => (float)(Half)value), after);
        }
    }

    [Fact]
    public void Plain_numbers_are_copied_unless_a_type_is_asked_for()
    {
        string copy = tiny["copy"], half = tiny["half"], file = tiny["m.gguf"];
        File.WriteAllText(Path.Combine(tiny.Model, "generation_config.json"), "{\"top_k\": 5}");
        File.WriteAllText(Path.Combine(tiny.Model, "chat_template.jinja"), "{{ messages }}");
        Directory.CreateDirectory(Path.Combine(tiny.Model, "onnx"));
        ConversionReport report = Convert(tiny.Model, copy, ModelFormat.Safetensors);
        Assert.True(report.IsLossless);
        Assert.Equal(["chat_template.jinja", "generation_config.json", "tokenizer.json", "tokenizer_config.json"], report.Files.ToArray());
        Assert.Equal(["onnx/"], report.LeftOut.ToArray());
        foreach (string name in (string[])["model.safetensors", .. report.Files])
            Assert.Equal(File.ReadAllBytes(Path.Combine(tiny.Model, name)), File.ReadAllBytes(Path.Combine(copy, name)));

        ConversionReport halves = Convert(tiny.Model, half, ModelFormat.Safetensors, type: "f16");
        Assert.False(halves.IsLossless);
        Assert.True(halves.MaxError is > 0 and < 1e-2);
        Assert.All(halves.Tensors, tensor => Assert.Equal(2 * tensor.Count, tensor.Bytes));
        Assert.True(Convert(half, file, ModelFormat.Gguf).IsLossless);
        using (Gguf gguf = Gguf.Open(file))
            Assert.Equal("{{ messages }}", gguf.Get<string>("tokenizer.chat_template"));
        Assert.Equal(["generation_config.json", "tokenizer_config.json", "onnx/"], Convert(tiny.Model, file, ModelFormat.Gguf).LeftOut.ToArray());
        Assert.True(Convert(file, tiny["back"], ModelFormat.Safetensors).IsLossless);
        Assert.Contains("{{ messages }}", File.ReadAllText(Path.Combine(tiny["back"], "tokenizer_config.json")), StringComparison.Ordinal);
        Same(tiny.Model, tiny["back"], _ => { });
    }

    [Fact]
    public void Llama2_c_s_file_holds_what_it_was_made_from()
    {
        string file = tiny["m.bin"];
        Assert.True(Convert(tiny.Model, file, ModelFormat.Llama2C).IsLossless);
        tiny.Language.Tokenizer.Save(Path.GetDirectoryName(file)!);
        Assert.True(Convert(file, tiny["back"], ModelFormat.Safetensors).IsLossless);
        Same(tiny.Model, tiny["back"], _ => { });
        Assert.Contains("no f16", Assert.Throws<CoppiceException>(() => Convert(tiny.Model, file, ModelFormat.Llama2C, type: "f16")).Message.Replace("not f16", "no f16", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    public static TheoryData<string> Families => [.. RandomCheckpoint.Families];

    [Theory]
    [MemberData(nameof(Families))]
    public void A_folder_of_any_family_is_sharded_and_put_together_again(string kind)
    {
        using TemporaryFolder folder = new();
        new RandomCheckpoint(kind).Write(folder.Path);
        ConversionReport report = Convert(folder.Path, tiny["shards"], ModelFormat.Safetensors, shardBytes: 20_000);
        Assert.True(report.IsLossless);
        Assert.True(Directory.GetFiles(tiny["shards"], "model-*.safetensors").Length > 2);
        Assert.True(Convert(tiny["shards"], tiny["one"], ModelFormat.Safetensors).IsLossless);
        Assert.Equal(File.ReadAllBytes(folder["model.safetensors"])[^10_000..], File.ReadAllBytes(Path.Combine(tiny["one"], "model.safetensors"))[^10_000..]);
    }

    [Theory]
    [InlineData(1), InlineData(7), InlineData(15)]
    public void An_interrupted_run_goes_on_to_the_same_bytes(int stopAfter)
    {
        string start = Packed(4, 32, isSymmetric: false);
        foreach ((ModelFormat format, string output, string undisturbed) in (ReadOnlySpan<(ModelFormat, string, string)>)[(ModelFormat.Gptq, tiny["out"], tiny["whole"]), (ModelFormat.Gguf, tiny["out.gguf"], tiny["whole.gguf"])])
        {
            Convert(start, undisturbed, format, shardBytes: 30_000);
            using CancellationTokenSource stop = new();
            int told = 0;
            Assert.Throws<OperationCanceledException>(() => new Conversion(new ConversionOptions { Format = format, ShardBytes = 30_000 }, pool)
                .Run(start, output, new Told<WriteProgress>(_ => { if (++told == stopAfter) stop.Cancel(); }), stop.Token));
            Assert.False(Path.Exists(output));
            ConversionReport report = Convert(start, output, format, shardBytes: 30_000);
            Assert.True(report.IsLossless);
            Assert.False(Path.Exists(output + ".journal"));
            Assert.Equal(stopAfter, report.Resumed);
            if (format == ModelFormat.Gguf)
                Assert.Equal(Forget(File.ReadAllBytes(undisturbed), "whole"), Forget(File.ReadAllBytes(output), "out"));
            else
                Assert.Equal(TinyFolder.Bytes(undisturbed), TinyFolder.Bytes(output));
        }

        // The file's own name is in its metadata.
        static byte[] Forget(byte[] bytes, string name) => bytes[(bytes.AsSpan().IndexOf(System.Text.Encoding.ASCII.GetBytes(name)) + name.Length)..][^20_000..];
    }

    [Fact]
    public void A_journal_of_another_run_is_begun_anew()
    {
        string output = tiny["out"];
        using CancellationTokenSource stop = new();
        Assert.Throws<OperationCanceledException>(() => new Conversion(new ConversionOptions { Format = ModelFormat.Safetensors, Type = "f16" }, pool)
            .Run(tiny.Model, output, new Told<WriteProgress>(_ => stop.Cancel()), stop.Token));
        ConversionReport report = Convert(tiny.Model, output, ModelFormat.Safetensors);
        Assert.True(report.IsLossless);
        Assert.Equal(0, report.Resumed);
    }

    ConversionReport Convert(string path, string output, ModelFormat format, Requantizing requantizing = Requantizing.Refused, string? type = null, long shardBytes = WritingOptions.DefaultShardBytes) =>
        new Conversion(new ConversionOptions { Format = format, Requantizing = requantizing, Type = type, ShardBytes = shardBytes }, pool).Run(path, output);

    /// <summary>The small model with the matrices of its blocks as random integers, in a folder of compressed-tensors.</summary>
    string Packed(int bits, int groupSize, bool isSymmetric)
    {
        Random random = new(bits * 100 + groupSize);
        LanguageModel copy = LanguageModel.Load(tiny.Model);
        foreach ((string name, MatrixLayer layer) in copy.Model.Matrices().Where(matrix => matrix.Name.Contains("layers", StringComparison.Ordinal)))
        {
            (int rows, int columns) = (layer.Weight.Rows, layer.Weight.Columns);
            int groups = groupSize == IntWeight.WholeRow ? 1 : columns / groupSize;
            if (groupSize != IntWeight.WholeRow && columns % groupSize != 0)
                continue;
            byte[] Codes(int count, int least) => [.. Enumerable.Range(0, count).Select(_ => (byte)random.Next(least, 1 << bits))];
            Half[] scales = [.. Enumerable.Range(0, rows * groups).Select(_ => (Half)(random.NextDouble() * 0.1 - 0.03))];
            layer.Weight = new IntWeight(bits, groupSize, rows, columns, Codes(rows * columns, 0), scales, isSymmetric ? [] : Codes(rows * groups, 1));
        }
        string folder = tiny[$"packed-{bits}-{groupSize}-{isSymmetric}"];
        copy.Save(folder, DType.F16);
        return folder;
    }

    void Same(string before, string after, Action<Weight> packed)
    {
        (Model a, Model b) = (LanguageModel.Load(before).Model, LanguageModel.Load(after).Model);
        foreach (((string name, MatrixLayer x), (_, MatrixLayer y)) in a.Matrices().Zip(b.Matrices()))
        {
            Assert.Equal(x.Weight.ToDense(), y.Weight.ToDense());
            if (x.Weight is IntWeight)
                packed(y.Weight);
        }
        foreach (((string name, Tensor x), (_, Tensor y)) in a.AllVectors().Zip(b.AllVectors()))
            Assert.Equal(x.Data.ToArray(), y.Data.ToArray());
    }

    static float[] Matrix(string path, string name) => LanguageModel.Load(path).Model.Matrices().Single(matrix => matrix.Name + ".weight" == name).Layer.Weight.ToDense();

    sealed class Told<T>(Action<T> tell) : IProgress<T>
    {
        public void Report(T value) => tell(value);
    }
}
