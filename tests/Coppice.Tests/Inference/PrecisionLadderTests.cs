using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Evaluation;
using Coppice.Tests.Tensors.Simd;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Tests.Inference;

[Collection(SimdCollection.Name)]
public sealed class PrecisionLadderTests : IDisposable
{
    readonly WorkerPool pool = new(2);
    readonly DecoderModel best = TinyModels.Model(4), cheap = Halved();

    public void Dispose() => pool.Dispose();

    [Fact]
    public void It_steps_down_above_the_target_and_up_only_where_the_better_variant_would_be_well_below_it()
    {
        PrecisionLadder ladder = new([("best", best), ("cheap", cheap)], targetSeconds: 1, window: 4);
        double ratio = (double)best.ByteCount / cheap.ByteCount;
        Assert.False(Feed(4, 0.99));
        Assert.False(Feed(1, 5));
        Assert.True(Feed(1, 5));
        Assert.Same(cheap, ladder.Model);
        // 0.85 of the target is expected of the better one: not enough.
        Assert.False(Feed(9, 0.85 / ratio));
        Assert.False(Feed(1, 0.7 / ratio));
        Assert.True(Feed(1, 0.7 / ratio));
        Assert.Same(best, ladder.Model);
        Assert.False(Feed(3, 5));
        ladder.Switch("cheap");
        Assert.False(Feed(3, 0.1));
        Assert.Equal([(6L, "best", "cheap"), (17L, "cheap", "best"), (20L, "best", "cheap")], ladder.Switches.Select(change => (change.Token, change.From, change.To)));
        Assert.Equal([true, true, false], ladder.Switches.Select(change => change.MedianSeconds is not null));

        bool Feed(int tokens, double seconds)
        {
            bool switched = false;
            for (int i = 0; i < tokens; i++)
                switched = ladder.Observe(seconds);
            return switched;
        }
    }

    [Fact]
    public void What_the_better_variant_was_slower_by_when_it_was_left_decides_when_it_is_taken_back()
    {
        PrecisionLadder ladder = new([("best", best), ("cheap", cheap)], targetSeconds: 1, window: 1);
        Assert.True(ladder.Observe(1.2));
        Assert.False(ladder.Observe(1));
        // A fifth slower: 0.84 is expected, then 0.72.
        Assert.False(ladder.Observe(0.7));
        Assert.True(ladder.Observe(0.6));
        Assert.Same(best, ladder.Model);
    }

    [Fact]
    public void A_better_variant_that_has_to_be_left_at_once_is_tried_again_after_twice_as_many_tokens()
    {
        PrecisionLadder ladder = new([("best", best), ("cheap", cheap)], targetSeconds: 1, window: 1);
        foreach (int tokens in (int[])[1, 2, 4, 8])
        {
            Assert.True(ladder.Observe(5));
            for (int i = 1; i < tokens; i++)
                Assert.False(ladder.Observe(0.1));
            Assert.True(ladder.Observe(0.1));
        }
        for (int i = 0; i < 3; i++)
            Assert.False(ladder.Observe(0.5));
        Assert.True(ladder.Observe(5));
        Assert.True(ladder.Observe(0.1));
    }

    [Fact]
    public void After_a_switch_logits_are_those_of_the_other_model_on_the_same_cache()
    {
        int[] ids = [.. Enumerable.Range(0, 30).Select(i => i * 97 % 280)];
        Generator generator = new(best, new Sampler(), pool, cache: KeyValueFormat.Float16, activations: ActivationFormat.Float32);
        generator.Prefill(ids.AsSpan(0, 20));
        generator.SwitchTo(cheap);
        generator.Prefill(ids.AsSpan(20));

        KvCache cache = new(best, 48);
        ForwardContext context = new(pool);
        Batch batch = new();
        batch.Add(ids.AsSpan(0, 20), cache);
        best.ForwardLast(batch, context);
        batch.Clear();
        batch.Add(ids.AsSpan(20), cache);
        SimdTesting.SameBits(cheap.ForwardLast(batch, context).Data, generator.Logits, "after the switch");
        Assert.NotEqual(best.ForwardLast(new Batch(ids), context).Data.ToArray(), generator.Logits.ToArray());
    }

    [Fact]
    public void Generation_under_a_target_that_nothing_meets_goes_on_with_the_cheapest()
    {
        PrecisionLadder ladder = new([("best", best), ("cheap", cheap)], targetSeconds: 1e-12, window: 4);
        Generator generator = new(best, new Sampler(), pool) { Ladder = ladder };
        generator.Generate([7, 8], 20);
        Assert.Equal([(4L, "best", "cheap")], ladder.Switches.Select(change => (change.Token, change.From, change.To)));
    }

    [Fact]
    public void Other_models_and_names_are_refused()
    {
        DecoderModel other = Initialization.Random(TinyModels.Config with { LayerCount = 3 }, 1);
        Assert.StartsWith("three: is no variant", Assert.Throws<CoppiceException>(() => new PrecisionLadder([("two", best), ("three", other)], 1)).Message, StringComparison.Ordinal);
        Assert.Throws<CoppiceException>(() => new Generator(best, new Sampler(), pool).SwitchTo(other));
        Assert.Equal("there is no variant 'chap'; the nearest is 'cheap'", Assert.Throws<CoppiceException>(() => new PrecisionLadder([("best", best), ("cheap", cheap)], 1).Switch("chap")).Message);
        Assert.Throws<CoppiceException>(() => new PrecisionLadder([("best", best)], 1));
    }

    static DecoderModel Halved()
    {
        DecoderModel model = TinyModels.Model(4);
        foreach ((_, MatrixLayer layer) in model.Matrices().ToList())
            layer.Weight = HalfWeight.From(HalfFormat.Float16, layer.Weight.Rows, layer.Weight.Columns, layer.Weight.ToDense());
        return model;
    }
}
