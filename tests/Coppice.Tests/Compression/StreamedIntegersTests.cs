using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Cli;
using Coppice.Weights;

namespace Coppice.Tests.Compression;

/// <summary>A folder that is written without ever holding the model against the one that the pipeline writes.</summary>
public sealed class StreamedIntegersTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    [Theory]
    [InlineData("bits: 4, groupSize: 32", "folder"), InlineData("bits: 8, groupSize: -1", "folder"), InlineData("bits: 3, groupSize: 16, symmetric: false", "folder")]
    [InlineData("bits: 4, groupSize: 32, range: squaredError", "folder"), InlineData("bits: 4, groupSize: 32, targets: \"*.mlp.*\"", "bf16"), InlineData("bits: 4, groupSize: 32, targets: \"*\"", "f32")]
    public void The_folder_and_the_report_are_those_of_the_pipeline(string options, string source)
    {
        string path = source == "folder" ? tiny.Model : tiny["source.gguf"];
        if (source != "folder")
            tiny.Language.SaveGguf(path, GgmlType.All.Single(type => type.Name == source.ToUpperInvariant()));
        Recipe recipe = RecipeReader.Parse($"name: r\nsteps:\n- roundToNearest: {{ {options} }}\n", "r");
        using WorkerPool pool = new(3);
        LanguageModel whole = LanguageModel.Load(path);
        CompressionReport wanted = new CompressionPipeline(recipe, pool).Run(whole.Model, []);
        whole.Save(tiny["whole"]);
        CompressionReport report;
        using (OpenModel open = OpenModel.Open(path))
        {
            Assert.True(StreamedIntegers.Streams(open.Language.Model));
            report = new StreamedIntegers(recipe, pool).Write(open.Language, tiny["streamed"]);
        }

        string[] files = [.. Directory.GetFiles(tiny["whole"]).Select(file => Path.GetFileName(file)).Order()];
        Assert.Equal(files, Directory.GetFiles(tiny["streamed"]).Select(file => Path.GetFileName(file)).Order());
        Assert.All(files, file => Assert.Equal(File.ReadAllBytes(Path.Combine(tiny["whole"], file)), File.ReadAllBytes(Path.Combine(tiny["streamed"], file))));
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
    public void A_matrix_is_never_in_memory_as_a_whole()
    {
        // 400 MB as float32, of which nothing is kept: what a band takes is what all of it takes.
        const int Rows = 50_000, Columns = 2_000, Most = 8 << 20;
        using WorkerPool pool = new(2);
        Ramp source = new(Rows, Columns);
        StreamedMatrix matrix = new("w", source, new RoundToNearest { GroupSize = 200 }, pool, CancellationToken.None);
        (var tensors, _) = CompressedTensors.Encode([new CheckpointEntry("w.weight", matrix.Stored)], DType.F16);
        Measured sink = new();
        foreach (TensorSource tensor in tensors)
            tensor.WriteTo(sink);
        Assert.Equal(tensors.Sum(tensor => tensor.ByteCount), sink.Length);
        Assert.InRange(4L * source.Largest, 1, Most);
        Assert.InRange(sink.Largest, 1, Most);
    }

    [Theory]
    [InlineData(float.NaN, "not finite"), InlineData(1e9f, "wanted a finite number of at most 65504")]
    public void A_number_that_cannot_be_stored_is_refused_and_nothing_is_written(float value, string said)
    {
        string path = tiny["source.gguf"];
        MatrixLayer layer = tiny.Language.Model.Matrices().Last().Layer;
        Tensor changed = Tensor.From([layer.Weight.Rows, layer.Weight.Columns], layer.Weight.ToDense());
        changed.Data[7] = 1234.5f;
        layer.Weight = new DenseWeight(changed);
        tiny.Language.SaveGguf(path, GgmlType.F32);
        byte[] bytes = File.ReadAllBytes(path);
        BitConverter.TryWriteBytes(bytes.AsSpan(bytes.AsSpan().LastIndexOf(BitConverter.GetBytes(1234.5f))), value);
        File.WriteAllBytes(path, bytes);
        using OpenModel open = OpenModel.Open(path);
        using WorkerPool pool = new(2);
        Recipe recipe = RecipeReader.Parse("name: r\nsteps:\n- roundToNearest: { bits: 4, groupSize: 32, targets: \"*\" }\n", "r");
        CoppiceException error = Assert.Throws<CoppiceException>(() => new StreamedIntegers(recipe, pool).Write(open.Language, tiny["out"]));
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(tiny["out"]));
    }

    /// <summary>Numbers from nowhere, and how many were asked for at once.</summary>
    sealed class Ramp(int rows, int columns) : Weight(rows, columns)
    {
        int largest;

        public int Largest => largest;

        public override long ByteCount => 4L * Rows * Columns;

        public override string Kind => "ramp";

        public override void Unpack(int firstRow, Span<float> dense)
        {
            InterlockedMax(dense.Length);
            for (int i = 0; i < dense.Length; i++)
                dense[i] = (firstRow * 31 + i) % 255 - 127;
        }

        void InterlockedMax(int value)
        {
            for (int seen = Volatile.Read(ref largest); value > seen; seen = Volatile.Read(ref largest))
                Interlocked.CompareExchange(ref largest, value, seen);
        }
    }

    /// <summary>Swallows what is written, and how much came at once.</summary>
    sealed class Measured : Stream
    {
        long length;

        public long Largest { get; private set; }

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => length;

        public override long Position { get => length; set => throw new NotSupportedException(); }

        public override void Flush() { }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer) => (length, Largest) = (length + buffer.Length, Math.Max(Largest, buffer.Length));
    }
}
