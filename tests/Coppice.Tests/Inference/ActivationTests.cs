using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Tensors.Simd;
using Coppice.Training;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Inference;

/// <summary>A model of integer matrices, with its inputs rounded to bytes and not.</summary>
[Collection(SimdCollection.Name)]
public sealed class ActivationTests : IDisposable
{
    readonly WorkerPool one = new(1), two = new(2);
    readonly DecoderModel model = Quantized();

    public void Dispose()
    {
        one.Dispose();
        two.Dispose();
    }

    [Fact]
    public void Rounded_activations_change_logits_a_little_and_only_where_they_are_asked_for()
    {
        int[] ids = [.. Enumerable.Range(0, 30).Select(i => i * 11 % 64)];
        float[] exact = Logits(ids, ActivationFormat.Float32), rounded = Logits(ids, ActivationFormat.Int8);
        double error = Math.Sqrt(exact.Zip(rounded, (a, b) => (double)(a - b) * (a - b)).Sum() / exact.Sum(a => (double)a * a));
        Assert.InRange(error, 1e-5, 0.03);
        SimdTesting.SameBits(exact, Logits(ids, default), "the default");
    }

    [Fact]
    public void A_text_has_the_same_logits_token_by_token_and_at_once_on_any_threads()
    {
        int[] ids = [.. Enumerable.Range(0, 30).Select(i => i * 7 % 64)];
        float[] whole = Logits(ids, ActivationFormat.Int8);
        foreach (WorkerPool pool in new[] { one, two })
        {
            Generator generator = new(model, new Sampler(), pool, cache: KeyValueFormat.Float32);
            for (int i = 0; i < ids.Length; i++)
            {
                generator.Prefill(ids.AsSpan(i, 1));
                SimdTesting.SameBits(whole.AsSpan(i * model.VocabularySize, model.VocabularySize), generator.Logits, $"token {i}, {pool.Threads} threads");
            }
        }
    }

    [Fact]
    public void A_pass_with_a_tape_rounds_nothing()
    {
        ForwardContext context = new(one, new Tape()) { Activations = ActivationFormat.Int8 };
        Tensor x = Tensor.From([3, 64], SimdTesting.Numbers(192));
        x.TrackGradient();
        Linear layer = new(BlockWeight.From<Q8_0>(32, 64, SimdTesting.Numbers(2048, 4)));
        SimdTesting.SameBits(layer.Forward(x, new ForwardContext(one)).Data, layer.Forward(x, context).Data, "with a tape");
    }

    float[] Logits(int[] ids, ActivationFormat activations) => model.Forward(new Batch(ids), new ForwardContext(two) { Activations = activations }).Data.ToArray();

    static DecoderModel Quantized()
    {
        DecoderModel model = Initialization.Random(new DecoderConfig
        {
            HiddenSize = 64,
            IntermediateSize = 96,
            LayerCount = 2,
            HeadCount = 4,
            KeyValueHeadCount = 2,
            HeadWidth = 16,
            VocabularySize = 64,
            ContextLength = 32,
        }, seed: 5);
        foreach ((string name, MatrixLayer layer) in model.Matrices().ToList())
        {
            float[] values = [.. layer.Weight.ToDense().Select(value => 10 * value)];
            layer.Weight = name.Contains("down", StringComparison.Ordinal)
                ? BlockWeight.From<Q4_0>(layer.Weight.Rows, layer.Weight.Columns, values)
                : BlockWeight.From<Q8_0>(layer.Weight.Rows, layer.Weight.Columns, values);
        }
        return model;
    }
}
