using Coppice.Compression;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Cli;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Compression;

/// <summary>A conversion that never holds a model against the one that does.</summary>
public sealed class StreamedRoundingTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    [Theory]
    [InlineData("q8_0", "folder"), InlineData("q4_0", "folder"), InlineData("q4_0", "f16"), InlineData("q8_0", "bf16"), InlineData("q4_0", "f32")]
    public void The_file_and_the_report_are_those_of_the_pipeline(string preset, string source)
    {
        string path = source == "folder" ? tiny.Model : tiny["source.gguf"];
        if (source != "folder")
            tiny.Language.SaveGguf(path, GgmlType.All.Single(type => type.Name == source.ToUpperInvariant()));
        Recipe recipe = Presets.Get(preset);
        using WorkerPool pool = new(3);
        LanguageModel whole = LanguageModel.Load(path);
        CompressionReport wanted = new CompressionPipeline(recipe, pool).Run(whole.Model, []);
        whole.SaveGguf(tiny["whole.gguf"]);
        Directory.CreateDirectory(tiny["streamed"]);
        string streamed = Path.Combine(tiny["streamed"], "whole.gguf");
        CompressionReport report;
        using (OpenModel open = OpenModel.Open(path))
            report = new StreamedRounding(recipe, pool).Write(open.Language, streamed, "whole");

        Assert.Equal(File.ReadAllBytes(tiny["whole.gguf"]), File.ReadAllBytes(streamed));
        Assert.Equal((wanted.BytesBefore, wanted.BytesAfter, wanted.BitsPerWeight, wanted.Recipe), (report.BytesBefore, report.BytesAfter, report.BitsPerWeight, report.Recipe));
        Assert.Equal(wanted.Sparsity, report.Sparsity, 1e-12);
        foreach (LayerResult layer in report.Layers)
        {
            LayerResult other = wanted.Layers.Single(result => result.Name == layer.Name);
            Assert.Equal((other.Kind, other.Bytes, other.Rows, other.Columns, string.Join(',', other.Steps)), (layer.Kind, layer.Bytes, layer.Rows, layer.Columns, string.Join(',', layer.Steps)));
            Assert.Equal(other.WeightError, layer.WeightError, 1e-4 * other.WeightError + 1e-12);
        }
    }

    [Fact]
    public void Matrices_stay_in_their_file_and_read_as_loaded_ones()
    {
        using OpenModel open = OpenModel.Open(tiny.Model);
        foreach (((string name, MatrixLayer stored), (_, MatrixLayer loaded)) in open.Language.Model.Matrices().Zip(LanguageModel.Load(tiny.Model).Model.Matrices()))
        {
            Assert.IsType<StoredWeight>(stored.Weight);
            Assert.True(loaded.Weight.ToDense().AsSpan().SequenceEqual(stored.Weight.ToDense()), name);
            int[] order = [.. Enumerable.Range(0, stored.Weight.Rows).Reverse()];
            Assert.Equal(loaded.Weight.Reorder(order).ToDense(), stored.Weight.Reorder(order).ToDense());
            Assert.Equal(loaded.Weight.ToDense(), stored.Weight.Reorder(order).Reorder(order).ToDense());
        }
    }

    [Theory]
    [InlineData(float.NaN, "not finite at [3, 5]"), InlineData(1e9f, "too large for Q8_0")]
    public void A_number_that_cannot_be_stored_is_refused_and_nothing_is_written(float value, string said)
    {
        string path = tiny["bad.gguf"], output = tiny["out.gguf"];
        float[] values = new float[64 * 64];
        values[3 * 64 + 5] = float.IsNaN(value) ? 1234.5f : value;
        GgufWriter.Write(path, [], [new(new("w", new DenseWeight(Tensor.From([64, 64], values))), GgmlType.F32)]);
        byte[] bytes = File.ReadAllBytes(path);
        BitConverter.TryWriteBytes(bytes.AsSpan(bytes.AsSpan().LastIndexOf(BitConverter.GetBytes(values[3 * 64 + 5]))), value);
        File.WriteAllBytes(path, bytes);
        using Gguf gguf = Gguf.Open(path);
        using WorkerPool pool = new(2);
        CoppiceException error = Assert.Throws<CoppiceException>(() => GgufWriter.Write(output, [], [new(new("w", gguf.OpenWeight("w")), GgmlType.Q8_0)], new WritingOptions { Pool = pool }));
        Assert.Contains("tensor 'w'", error.Message, StringComparison.Ordinal);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(output));
        Assert.False(File.Exists(output + ".partial"));
    }
}
