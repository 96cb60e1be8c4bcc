using System.Collections.Immutable;
using System.Text;
using Coppice.Compression;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Cli;
using Coppice.Tests.Compression;
using Coppice.Training;

namespace Coppice.Tests.Formats;

/// <summary>Importance matrices in both of llama.cpp's layouts, and gathered from a model against the formula of what enters it.</summary>
public sealed class ImportanceMatrixTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    static ImportanceMatrix Sample() => new(["a.txt", "b"], 3, 128, ImmutableSortedDictionary<string, InputImportance>.Empty
        .Add("blk.0.attn_q.weight", new InputImportance([1, 0.5f, 2, 8], [384]))
        .Add("blk.0.ffn_down_exps.weight", new InputImportance([1, 2, 3, 4, 5, 6], [2, 0, 1])));

    [Fact]
    public void What_is_written_is_read()
    {
        Sample().Write(folder["a.gguf"]);
        Assert.True(ImportanceMatrix.Is(folder["a.gguf"]));
        ImportanceMatrix read = ImportanceMatrix.Read(folder["a.gguf"]);
        Assert.Equal(["a.txt", "b"], read.Datasets.ToArray());
        Assert.Equal((3, 128), (read.ChunkCount, read.ChunkSize));
        Assert.Equal(["blk.0.attn_q.weight", "blk.0.ffn_down_exps.weight"], read.Entries.Keys);
        Assert.Equal([1 / 384f, 0.5f / 384, 2 / 384f, 8 / 384f], read.Entries["blk.0.attn_q.weight"].MeanSquares());
        InputImportance experts = read.Entries["blk.0.ffn_down_exps.weight"];
        Assert.Equal(2, experts.Columns);
        Assert.Equal([0.5f, 1], experts.MeanSquares(0));
        Assert.Equal([1f, 1], experts.MeanSquares(1));
        Assert.Equal([5f, 6], experts.MeanSquares(2));
    }

    [Fact]
    public void The_layout_is_the_documented_one()
    {
        Sample().Write(folder["a.gguf"]);
        using Gguf gguf = Gguf.Open(folder["a.gguf"]);
        Assert.Equal("imatrix", gguf.Get<string>("general.type"));
        Assert.Equal(["a.txt", "b"], gguf.Get<string[]>("imatrix.datasets"));
        Assert.Equal((3u, 128u), ((uint)gguf.Metadata["imatrix.chunk_count"], (uint)gguf.Metadata["imatrix.chunk_size"]));
        Assert.Equal(new long[] { 3, 2 }, gguf.ShapeOf("blk.0.ffn_down_exps.weight.in_sum2").ToArray());
        Assert.Equal(new long[] { 3, 1 }, gguf.ShapeOf("blk.0.ffn_down_exps.weight.counts").ToArray());
        Assert.All(gguf.Tensors.Values, tensor => Assert.Equal(GgmlType.F32, tensor.Type));
    }

    [Fact]
    public void The_older_layout_is_read()
    {
        File.WriteAllBytes(folder["a.dat"], Dat());
        Assert.True(ImportanceMatrix.Is(folder["a.dat"]));
        ImportanceMatrix read = ImportanceMatrix.Read(folder["a.dat"]);
        Assert.Equal("text", Assert.Single(read.Datasets));
        Assert.Equal((20, 0), (read.ChunkCount, read.ChunkSize));
        Assert.Equal([0.5f, 1, 1.5f], read.Entries["blk.0.x"].MeanSquares());
        Assert.Equal([4f], read.Entries["y"].MeanSquares());
        // What stands behind the entries is optional.
        File.WriteAllBytes(folder["a.dat"], Dat()[..^12]);
        Assert.Equal(2, ImportanceMatrix.Read(folder["a.dat"]).Entries.Count);
    }

    static byte[] Dat()
    {
        using MemoryStream bytes = new();
        using BinaryWriter writer = new(bytes);
        writer.Write(2);
        Entry("blk.0.x", 2, 1, 2, 3);
        Entry("y", 0, 4);
        writer.Write(20);
        writer.Write(4);
        writer.Write("text"u8);
        return bytes.ToArray();

        void Entry(string name, int calls, params float[] sums)
        {
            writer.Write(name.Length);
            writer.Write(Encoding.ASCII.GetBytes(name));
            writer.Write(calls);
            writer.Write(sums.Length);
            foreach (float sum in sums)
                writer.Write(sum);
        }
    }

    [Theory]
    [InlineData(0, 0, "the entries: claims 0, wanted 1 to")]
    [InlineData(0, 1_000_000, "the entries: claims 1,000,000, wanted 1 to")]
    [InlineData(4, -1, "the name of entry 1 has -1 bytes, wanted 1 to 4,096")]
    [InlineData(15, -2, "entry 'blk.0.x' counts -2 calls")]
    [InlineData(19, int.MaxValue, "entry 'blk.0.x': claims 2,147,483,647, wanted 1 to")]
    [InlineData(23, unchecked((int)0x7FC00000), "entry 'blk.0.x' has a sum of squares of NaN, wanted a finite number")]
    [InlineData(56, 3, "has 1 bytes behind its end")]
    public void A_damaged_older_file_is_refused(int at, int value, string message)
    {
        byte[] bytes = Dat();
        BitConverter.TryWriteBytes(bytes.AsSpan(at), value);
        File.WriteAllBytes(folder["a.dat"], bytes);
        Assert.Contains($"a.dat: {message}", Assert.Throws<CoppiceException>(() => ImportanceMatrix.Read(folder["a.dat"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_none_is_refused()
    {
        GgufWriter.Write(folder["a.gguf"], [new("general.type", "model")], [new(new("x.in_sum2", Tensor.From([1], [1f])), GgmlType.F32)]);
        Assert.False(ImportanceMatrix.Is(folder["a.gguf"]));
        Refused("general.type is 'model', wanted 'imatrix'");
        Write(("x.in_sum2", [1, 2]));
        Refused("tensor 'x.in_sum2' has no 'x.counts' beside it");
        Write(("x.counts", [1]));
        Refused("tensor 'x.counts' is no '.in_sum2', and no '.counts' of one");
        Write(("x.in_sum2", [1, 2, 3]), ("x.counts", [1, 2]));
        Refused("tensor 'x.in_sum2' has 3 sums for 2 counts");
        Write(("x.in_sum2", [1, -2]), ("x.counts", [1]));
        Refused("entry 'x' has a sum of squares of -2");
        Write(("x.in_sum2", [1, 2]), ("x.counts", [0.5f]));
        Refused("tensor 'x.counts' counts 0.5, wanted a whole number");
        Write();
        Refused("is an importance matrix of no tensors");

        void Write(params (string Name, float[] Numbers)[] tensors) => GgufWriter.Write(folder["a.gguf"], [new("general.type", "imatrix")],
            [.. tensors.Select(tensor => new GgufWriter.Source(new(tensor.Name, Tensor.From([tensor.Numbers.Length], tensor.Numbers)), GgmlType.F32))]);

        void Refused(string message) =>
            Assert.Contains($"a.gguf: {message}", Assert.Throws<CoppiceException>(() => ImportanceMatrix.Read(folder["a.gguf"])).Message.Replace("is a GGUF file whose ", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_files_are_read_or_refused()
    {
        Sample().Write(folder["good.gguf"]);
        Mutations.Check(File.ReadAllBytes(folder["good.gguf"]), folder["a.gguf"], seed: 1, rounds: 400, path => ImportanceMatrix.Read(path));
        Mutations.Check(Dat(), folder["a.dat"], seed: 2, rounds: 400, path => ImportanceMatrix.Read(path));
    }

    // The first block's inputs are its embeddings, divided by their root mean square and times the norm's gains.
    [Fact]
    public void Gathered_sums_are_those_of_the_inputs()
    {
        using TinyFolder tiny = new();
        DecoderModel model = (DecoderModel)tiny.Language.Model;
        int[][] text = [[1, 2, 3, 4, 5], [7, 7, 9]];
        using WorkerPool pool = new(2);
        ImportanceMatrix importance = ImportanceCollection.Gather(model, text, "t", pool);
        Assert.Equal(2 * 7 + 1, importance.Entries.Count);
        Assert.Equal((2, 5), (importance.ChunkCount, importance.ChunkSize));
        float[] table = model.Matrices().Single(part => part.Name == "model.embed_tokens").Layer.Weight.ToDense();
        ReadOnlySpan<float> gains = model.AllVectors().Single(part => part.Name == "model.layers.0.input_layernorm.weight").Vector.Data;
        double[] wanted = new double[64];
        foreach (int token in text.SelectMany(sequence => sequence))
        {
            ReadOnlySpan<float> row = table.AsSpan(64 * token, 64);
            double squares = 0;
            foreach (float value in row)
                squares += (double)value * value;
            for (int i = 0; i < 64; i++)
                wanted[i] += row[i] * (double)row[i] / (squares / 64 + model.Config.NormEpsilon) * gains[i] * gains[i];
        }
        foreach (string name in new[] { "attn_q", "attn_k", "attn_v" })
        {
            InputImportance entry = importance.Entries[$"blk.0.{name}.weight"];
            Assert.Equal(8, Assert.Single(entry.Counts));
            for (int i = 0; i < 64; i++)
                Assert.Equal(wanted[i], entry.SumsOfSquares[i], 1e-4 * wanted[i]);
        }
    }

    [Fact]
    public void Experts_follow_one_another_in_one_entry_with_the_tokens_that_each_saw()
    {
        DecoderModel model = Initialization.Random(Samples.Tiny with
        {
            Family = "qwen2_moe",
            Biases = BiasedParts.QueryKeyValue,
            Experts = new ExpertOptions { Count = 5, Chosen = 2, Width = 48, SharedWidth = 32, Shares = ExpertShares.All },
        }, seed: 1);
        using WorkerPool pool = new(2);
        ImportanceMatrix importance = ImportanceCollection.Gather(model, [[1, 2, 3, 4, 5, 6, 7]], "t", pool);
        foreach ((string name, int columns) in new[] { ("ffn_gate_exps", 32), ("ffn_up_exps", 32), ("ffn_down_exps", 48) })
        {
            InputImportance entry = importance.Entries[$"blk.1.{name}.weight"];
            Assert.Equal((5, columns), (entry.Counts.Length, entry.Columns));
            Assert.Equal(7 * 2, entry.Counts.Sum());
            for (int expert = 0; expert < 5; expert++)
                Assert.Equal(entry.Counts[expert] == 0 ? 0 : columns, entry.SumsOfSquares.AsSpan().Slice(expert * columns, columns).ToArray().Count(sum => sum > 0));
        }
        Assert.Equal(7, Assert.Single(importance.Entries["blk.1.ffn_down_shexp.weight"].Counts));
        importance.Write(folder["moe.gguf"]);
        Assert.Equal(importance.Entries["blk.1.ffn_up_exps.weight"].MeanSquares(3), ImportanceMatrix.Read(folder["moe.gguf"]).Entries["blk.1.ffn_up_exps.weight"].MeanSquares(3));
    }
}
