using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Formats;

public sealed class Llama2CTests : IDisposable
{
    static readonly Llama2CHeader Tiny = new(Width: 8, HiddenWidth: 12, Layers: 2, Heads: 2, KeyValueHeads: 1, Vocabulary: 5, ContextLength: 3, Classifier.Untied);

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(Classifier.Tied)]
    [InlineData(Classifier.Untied)]
    public void Tensors_lie_where_llama2c_looks_for_them(Classifier classifier)
    {
        // The reader of the reference walks one pointer through the file; so does this one. Each number is its own place.
        int[] header = [8, 12, 2, 2, 1, classifier == Classifier.Tied ? 5 : -5, 3];
        int count = 5 * 8 + 2 * (8 + 64 + 32 + 32 + 64 + 8 + 96 + 96 + 96) + 8 + 2 * 3 * 2 + (classifier == Classifier.Tied ? 0 : 40);
        float[] numbers = [.. Enumerable.Range(0, count).Select(i => (float)i)];
        File.WriteAllBytes(folder["a"], [.. MemoryMarshal.AsBytes(header), .. MemoryMarshal.AsBytes(numbers)]);
        using Llama2C model = Llama2C.Open(folder["a"]);
        Assert.Equal(Tiny with { Classifier = classifier }, model.Header);
        int at = 0;
        Check("tok_embeddings.weight", 40);
        foreach ((string name, int length) in new[] { ("attention_norm", 8), ("attention.wq", 64), ("attention.wk", 32), ("attention.wv", 32), ("attention.wo", 64), ("ffn_norm", 8), ("feed_forward.w1", 96), ("feed_forward.w2", 96), ("feed_forward.w3", 96) })
            for (int layer = 0; layer < 2; layer++)
                Check($"layers.{layer}.{name}.weight", length);
        Check("norm.weight", 8);
        at += 12;
        if (classifier == Classifier.Untied)
            Check("output.weight", 40);
        Assert.Equal(count, at);
        Assert.Equal([4L, 8], model.ShapeOf("layers.0.attention.wk.weight").ToArray());
        Assert.Equal([8L, 12], model.ShapeOf("layers.1.feed_forward.w2.weight").ToArray());

        void Check(string name, int length)
        {
            Assert.Equal(numbers[at..(at + length)], model.ReadTensor(name).Data.ToArray());
            at += length;
        }
    }

    [Fact]
    public void A_model_survives_and_carries_the_rotary_tables()
    {
        List<CheckpointEntry> entries = Entries(Tiny);
        Llama2C.Write(folder["a"], Tiny, entries);
        using (Llama2C model = Llama2C.Open(folder["a"]))
        {
            Assert.Equal(entries.Count, model.Names.Count);
            foreach (CheckpointEntry entry in entries)
                Assert.Equal(entry.Weight?.ToDense() ?? entry.Tensor!.Data.ToArray(), model.ReadTensor(entry.Name).Data.ToArray());
        }
        byte[] bytes = File.ReadAllBytes(folder["a"]);
        ReadOnlySpan<float> tables = MemoryMarshal.Cast<byte, float>(bytes.AsSpan(bytes.Length - 4 * 40 - 4 * 12, 4 * 12));
        Assert.Equal(Math.Cos(2), tables[4], 1e-6);            // position 2, first pair
        Assert.Equal(Math.Sin(2 / 100.0), tables[6 + 5], 1e-6); // position 2, second pair of a head of 4
    }

    [Fact]
    public void A_model_that_does_not_fit_is_refused_by_tensor()
    {
        List<CheckpointEntry> entries = Entries(Tiny);
        CheckpointEntry norm = entries.Single(entry => entry.Name == "norm.weight");
        Assert.Contains("tensor 'norm.weight' is missing", Refused([.. entries.Where(entry => entry != norm)]), StringComparison.Ordinal);
        Assert.Contains("tensor 'norm.weight' is [9], wanted [8]", Refused([.. entries.Where(entry => entry != norm), new("norm.weight", new Tensor([9]))]), StringComparison.Ordinal);
        Assert.Contains("tensor 'extra' has no place", Refused([.. entries, new("extra", new Tensor([9]))]), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path));

        string Refused(List<CheckpointEntry> changed) => Assert.Throws<CoppiceException>(() => Llama2C.Write(folder["a"], Tiny, changed)).Message;
    }

    [Theory]
    [InlineData(0, -1), InlineData(0, 0), InlineData(2, int.MaxValue), InlineData(3, 3), InlineData(4, 0), InlineData(5, int.MinValue), InlineData(6, 1 << 30), InlineData(1, int.MaxValue)]
    public void A_hostile_header_is_refused(int field, int value)
    {
        Llama2C.Write(folder["a"], Tiny, Entries(Tiny));
        byte[] bytes = File.ReadAllBytes(folder["a"]);
        MemoryMarshal.Cast<byte, int>(bytes.AsSpan())[field] = value;
        File.WriteAllBytes(folder["a"], bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<CoppiceException>(() => Llama2C.Open(folder["a"]));
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 100_000);
    }

    [Fact]
    public void A_file_one_byte_short_or_long_is_refused()
    {
        Llama2C.Write(folder["a"], Tiny, Entries(Tiny));
        byte[] bytes = File.ReadAllBytes(folder["a"]);
        foreach (byte[] wrong in new[] { bytes[..^1], [.. bytes, 0], bytes[..20], [] })
        {
            File.WriteAllBytes(folder["b"], wrong);
            Assert.Throws<CoppiceException>(() => Llama2C.Open(folder["b"]));
        }
    }

    [SharedDataFact("stories260K/stories260K.bin")]
    public void Stories260K_opens()
    {
        using Llama2C model = Llama2C.Open(SharedDataFactAttribute.PathOf("stories260K/stories260K.bin"));
        Assert.Equal(new Llama2CHeader(64, 172, 5, 8, 4, 512, 512, Classifier.Tied), model.Header);
        Assert.Equal([512L, 64], model.ShapeOf("tok_embeddings.weight").ToArray());
        foreach (string name in model.Names)
            model.ReadTensor(name);
    }

    static List<CheckpointEntry> Entries(Llama2CHeader h)
    {
        Random random = new(1);
        List<CheckpointEntry> entries = [Matrix("tok_embeddings", h.Vocabulary, h.Width), Vector("norm", h.Width), Matrix("output", h.Vocabulary, h.Width)];
        int keys = h.Width / h.Heads * h.KeyValueHeads;
        for (int i = 0; i < h.Layers; i++)
            entries.AddRange([
                Vector($"layers.{i}.attention_norm", h.Width), Matrix($"layers.{i}.attention.wq", h.Width, h.Width), Matrix($"layers.{i}.attention.wk", keys, h.Width), Matrix($"layers.{i}.attention.wv", keys, h.Width),
                Matrix($"layers.{i}.attention.wo", h.Width, h.Width), Vector($"layers.{i}.ffn_norm", h.Width), Matrix($"layers.{i}.feed_forward.w1", h.HiddenWidth, h.Width),
                Matrix($"layers.{i}.feed_forward.w2", h.Width, h.HiddenWidth), Matrix($"layers.{i}.feed_forward.w3", h.HiddenWidth, h.Width)]);
        return entries;

        float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle())];
        CheckpointEntry Matrix(string name, int rows, int columns) => new(name + ".weight", new DenseWeight(Tensor.From([rows, columns], Numbers(rows * columns))));
        CheckpointEntry Vector(string name, int length) => new(name + ".weight", Tensor.From([length], Numbers(length)));
    }
}
