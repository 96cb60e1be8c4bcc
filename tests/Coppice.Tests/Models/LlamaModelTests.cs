using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Tests.Models;

public sealed class LlamaModelTests : IDisposable
{
    static readonly int[][] Sequences = [[3, 1, 4, 1, 5, 9, 2], [6, 5, 3, 5]];

    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    [Theory]
    [InlineData(HeadKind.Tied)]
    [InlineData(HeadKind.Untied)]
    public void Logits_equal_a_plain_double_forward_pass(HeadKind head)
    {
        LlamaModel model = TinyLlama.Create(head);
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
        LlamaModel model = TinyLlama.Create(head);
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
        LlamaModel model = TinyLlama.Create();
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
        LlamaModel model = TinyLlama.Create();
        int[] text = [.. Enumerable.Range(0, 30).Select(i => i * 7 % model.VocabularySize)];
        float[] whole = model.Forward(new Batch(text), new ForwardContext(pool)).Data.ToArray();
        ForwardContext context = new(pool) { Cache = new KvCache(model, 30) };
        List<float> parts = [];
        foreach (Range range in new[] { ..5, 5..6, 6..7, 7..20, 20..21, 21..30 })
        {
            parts.AddRange(model.Forward(new Batch(text.AsSpan()[range]), context).Data);
            context.Reset();
        }
        Assert.Equal(whole, parts);
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
