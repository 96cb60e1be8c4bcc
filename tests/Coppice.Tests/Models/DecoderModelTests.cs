using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Tests.Models;

public sealed class DecoderModelTests : IDisposable
{
    static readonly int[][] Sequences = [[3, 1, 4, 1, 5, 9, 2], [6, 5, 3, 5]];

    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    [Theory]
    [InlineData(HeadKind.Tied)]
    [InlineData(HeadKind.Untied)]
    public void Logits_equal_a_plain_double_forward_pass(HeadKind head)
    {
        DecoderModel model = TinyLlama.Create(head);
        ReferenceLlama reference = new(model.Config, TinyLlama.Parameters(model));
        Batch batch = new();
        foreach (int[] sequence in Sequences)
            batch.Add(sequence);
        float[] logits = model.Forward(batch, new ForwardContext(pool)).Data.ToArray();
        double[] wanted = [.. Sequences.SelectMany(sequence => reference.Logits(sequence).SelectMany(row => row))];
        Assert.Equal(wanted.Length, logits.Length);
        for (int i = 0; i < wanted.Length; i++)
            Assert.Equal(wanted[i], logits[i], 2e-5);
    }

    [Theory]
    [InlineData(HeadKind.Tied)]
    [InlineData(HeadKind.Untied)]
    public void Gradients_equal_finite_differences_in_double(HeadKind head)
    {
        DecoderModel model = TinyLlama.Create(head);
        IReadOnlyList<Parameter> parameters = Parameter.Of(model);
        ForwardContext context = new(pool, new Tape());
        Batch batch = new();
        List<int> targets = [];
        foreach (int[] sequence in Sequences)
        {
            batch.Add(sequence.AsSpan(..^1));
            targets.AddRange(sequence[1..]);
        }
        Tensor loss = CrossEntropy.Apply(context, model.Forward(batch, context), targets.ToArray(), targets.Count);
        Dictionary<string, double[]> values = TinyLlama.Parameters(model);
        ReferenceLlama reference = new(model.Config, values);
        Assert.Equal(reference.Loss(Sequences), loss.Data[0], 1e-5);
        context.Tape!.Backward(loss);

        Random random = new(5);
        foreach (Parameter parameter in parameters)
        {
            double[] value = values[parameter.Name];
            for (int trial = 0; trial < 12; trial++)
            {
                int i = random.Next(value.Length);
                const double Step = 1e-5;
                double kept = value[i];
                value[i] = kept + Step;
                double above = reference.Loss(Sequences);
                value[i] = kept - Step;
                double below = reference.Loss(Sequences);
                value[i] = kept;
                double wanted = (above - below) / (2 * Step), found = parameter.Tensor.Grad!.Data[i];
                Assert.True(Math.Abs(wanted - found) <= 1e-5 + 1e-3 * Math.Abs(wanted), $"{parameter.Name}[{i}]: {found}, finite differences give {wanted}");
            }
        }
    }

    [Fact]
    public void A_sequence_s_logits_do_not_depend_on_its_neighbours_nor_on_threads()
    {
        DecoderModel model = TinyLlama.Create();
        float[] alone = model.Forward(new Batch(Sequences[1]), new ForwardContext(new WorkerPool(1))).Data.ToArray();
        Batch both = new();
        both.Add(Sequences[0]);
        both.Add(Sequences[1]);
        float[] beside = model.Forward(both, new ForwardContext(pool)).Data[(Sequences[0].Length * model.VocabularySize)..].ToArray();
        Assert.Equal(alone, beside);
    }

    [Fact]
    public void Continuing_a_cache_gives_the_logits_of_the_whole_text()
    {
        DecoderModel model = TinyLlama.Create();
        int[] text = [.. Enumerable.Range(0, 30).Select(i => i * 7 % model.VocabularySize)];
        float[] whole = model.Forward(new Batch(text), new ForwardContext(pool)).Data.ToArray();
        ForwardContext context = new(pool);
        KvCache cache = new(model, 30, KeyValueFormat.Float32);
        List<float> parts = [];
        foreach (Range range in new[] { ..5, 5..6, 6..7, 7..20, 20..21, 21..30 })
        {
            Batch batch = new();
            batch.Add(text.AsSpan()[range], cache);
            parts.AddRange(model.Forward(batch, context).Data);
            context.Reset();
        }
        Assert.Equal(whole, parts);
    }

    [Theory]
    [InlineData(KeyValueFormat.Float32)]
    [InlineData(KeyValueFormat.Float16)]
    [InlineData(KeyValueFormat.Int8)]
    [InlineData(KeyValueFormat.Int4)]
    [InlineData(KeyValueFormat.Int4Token)]
    public void Sequences_side_by_side_with_caches_of_their_own_lengths_get_the_logits_that_each_gets_alone(KeyValueFormat format)
    {
        DecoderModel model = TinyLlama.Create();
        ForwardContext context = new(pool);
        int[][] texts = [.. Enumerable.Range(0, 3).Select(t => Enumerable.Range(0, 20).Select(i => (i * 7 + t) % model.VocabularySize).ToArray())];
        int[][] steps = [[5, 1, 1, 9], [1, 1, 12, 1], [2, 7, 1, 1]];
        KvCache[] caches = [.. texts.Select(_ => new KvCache(model, 20, format))], alone = [.. texts.Select(_ => new KvCache(model, 20, format))];
        Batch batch = new();
        for (int step = 0; step < 4; step++)
        {
            List<float> wanted = [];
            batch.Clear();
            for (int t = 0; t < texts.Length; t++)
            {
                ReadOnlySpan<int> part = texts[t].AsSpan(steps[t][..step].Sum(), steps[t][step]);
                int logits = Math.Min(t, part.Length);
                Batch single = new();
                single.Add(part, alone[t], logits);
                wanted.AddRange(model.ForwardWanted(single, context) is { } own ? own.Data : []);
                context.Reset();
                batch.Add(part, caches[t], logits);
            }
            Assert.Equal(wanted, model.ForwardWanted(batch, context)!.Data.ToArray());
            context.Reset();
        }
        Assert.Equal(texts[1][..15], caches[1].Tokens);
        Assert.Equal(4, caches[1].SharedPrefix([.. texts[1][..4], 16, 16]));
    }

    [Fact]
    public void What_does_not_fit_a_cache_is_refused_before_anything_is_computed()
    {
        DecoderModel model = TinyLlama.Create();
        KvCache cache = new(model, 4), other = new(model, 4);
        Batch batch = new();
        Assert.Equal("KV cache: 0 tokens held and 5 more do not fit its 4", Assert.Throws<CoppiceException>(() => batch.Add(new int[5], cache)).Message);
        batch.Add([1, 2], cache);
        Assert.Throws<ArgumentException>(() => batch.Add([1], cache));
        Assert.Throws<ArgumentException>(() => batch.Add([1]));
        batch.Add([3], other);
        model.Forward(batch, new ForwardContext(pool));
        Assert.Equal((2, 1), (cache.Length, other.Length));
        Assert.Throws<ArgumentException>(() => model.Forward(batch, new ForwardContext(pool)));
    }

    [Fact]
    public void An_id_outside_the_vocabulary_is_named()
    {
        CoppiceException error = Assert.Throws<CoppiceException>(() => TinyLlama.Create().Forward(new Batch([2, 17]), new ForwardContext(pool)));
        Assert.Contains("17 at position 1", error.Message);
        Assert.Contains("tokenizer does not match", error.Message);
    }

    [Fact]
    public void A_text_longer_than_the_context_is_refused()
    {
        CoppiceException error = Assert.Throws<CoppiceException>(() => TinyLlama.Create().Forward(new Batch(new int[33]), new ForwardContext(pool)));
        Assert.Equal("33 tokens in a sequence, the model's context holds 32", error.Message);
    }
}
