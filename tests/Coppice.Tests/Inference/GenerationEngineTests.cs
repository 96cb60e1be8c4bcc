using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Evaluation;
using Coppice.Tests.Tensors.Simd;

namespace Coppice.Tests.Inference;

public sealed class GenerationEngineTests : IDisposable
{
    static readonly SamplingOptions Drawn = new() { Temperature = 0.8f, TopP = 0.95f };

    readonly WorkerPool pool = new(2);
    readonly DecoderModel model = TinyModels.Model(4);

    public void Dispose() => pool.Dispose();

    [Theory]
    [InlineData(1, 256)]
    [InlineData(3, 5)]
    [InlineData(8, 1)]
    public void Each_text_is_the_one_that_a_generator_gives_alone(int slots, int promptTokens)
    {
        GenerationEngine engine = new(model, pool, new GenerationEngineOptions { Slots = slots, PromptTokensPerStep = promptTokens, Capacity = 40 });
        int[][] prompts = [.. Enumerable.Range(0, 6).Select(i => Enumerable.Range(0, 1 + 4 * i).Select(j => (i * 31 + j * 7) % 280).ToArray())];
        List<GenerationRequest> requests = [];
        List<int>[] told = [.. prompts.Select(_ => new List<int>())];
        for (int i = 0; i < prompts.Length; i++)
        {
            requests.Add(engine.Submit(prompts[i], Own(i), 10 + i, onToken: told[i].Add));
            engine.Step();
        }
        while (engine.Step())
            Assert.True(engine.Running <= slots);
        for (int i = 0; i < prompts.Length; i++)
        {
            Generator alone = new(model, Own(i), new WorkerPool(1), capacity: 40);
            alone.Generate(prompts[i], 10 + i);
            Assert.Equal(alone.Tokens, requests[i].Tokens);
            Assert.Equal(requests[i].Tokens[prompts[i].Length..].ToArray(), told[i]);
            Assert.Equal((StopReason.MaxTokens, 10 + i, true), (requests[i].Stop, requests[i].Generated, requests[i].IsDone));
        }

        Sampler Own(int seed) => seed % 2 == 0 ? new Sampler() : new Sampler(model.VocabularySize, Drawn, new Random(seed));
    }

    [Fact]
    public void A_prompt_reads_only_what_the_free_caches_do_not_hold()
    {
        GenerationEngine engine = new(model, pool, new GenerationEngineOptions { Slots = 2, Cache = KeyValueFormat.Int8 });
        int[] shared = [.. Enumerable.Range(0, 20).Select(i => i * 13 % 280)];
        GenerationRequest first = Finish(engine, [.. shared, 5, 6]), other = Finish(engine, [9, 9, 9]);
        Assert.Equal((0, 0), (first.ReusedTokens, other.ReusedTokens));
        GenerationRequest second = Finish(engine, [.. shared, 7, 8, 9]);
        Assert.Equal(20, second.ReusedTokens);
        // The whole prompt is there: its last token is read again, for its logits.
        Assert.Equal(22, Finish(engine, [.. shared, 7, 8, 9]).ReusedTokens);
        Generator alone = new(model, new Sampler(), pool, cache: KeyValueFormat.Int8);
        alone.Generate([.. shared, 7, 8, 9], 6);
        Assert.Equal(alone.Tokens, second.Tokens);

        static GenerationRequest Finish(GenerationEngine engine, int[] prompt)
        {
            GenerationRequest request = engine.Submit(prompt, new Sampler(), 6);
            while (engine.Step())
            {
            }
            return request;
        }
    }

    [Fact]
    public void Logits_behind_a_reused_start_have_the_bits_of_a_prompt_that_is_read_whole()
    {
        Generator generator = new(model, new Sampler(), pool);
        int[] first = [.. Enumerable.Range(0, 30).Select(i => i * 13 % 280)], second = [.. first[..17], 3, 1, 4, 1, 5];
        generator.Generate(first, 5);
        Assert.Equal(17, generator.Restart(second));
        Generator fresh = new(model, new Sampler(), pool);
        fresh.Prefill(second);
        SimdTesting.SameBits(fresh.Logits, generator.Logits, "logits");
        Assert.Equal(second, generator.Tokens);
    }

    [Fact]
    public void Texts_end_each_for_its_own_reason()
    {
        Generator alone = new(model, new Sampler(), pool);
        alone.Generate([7, 8], 10);
        int end = alone.Tokens[6], before = alone.Tokens[2..].IndexOf(end);
        GenerationEngine engine = new(model, pool, new GenerationEngineOptions { Slots = 4, Capacity = 12 });
        GenerationRequest ended = engine.Submit([7, 8], new Sampler(), 100, endToken: end), full = engine.Submit([1, 2, 3], new Sampler(), 100);
        GenerationRequest cancelled = engine.Submit([4], new Sampler(), 100), none = engine.Submit([5], new Sampler(), 0), whole = engine.Submit(new int[12], new Sampler(), 5);
        GenerationRequest late = engine.Submit([6], new Sampler(), 2);
        engine.Step();
        engine.Step();
        cancelled.Cancel();
        while (engine.Step())
        {
        }
        Assert.Equal((StopReason.EndToken, before, 2 + before), (ended.Stop, ended.Generated, ended.Tokens.Length));
        Assert.Equal((StopReason.ContextFull, 9, 12), (full.Stop, full.Generated, full.Tokens.Length));
        Assert.Equal((StopReason.Cancelled, 2), (cancelled.Stop, cancelled.Generated));
        Assert.Equal((StopReason.MaxTokens, 0), (none.Stop, none.Generated));
        Assert.Equal((StopReason.ContextFull, 0), (whole.Stop, whole.Generated));
        Assert.Equal((StopReason.MaxTokens, 2), (late.Stop, late.Generated));
        Assert.Equal((0, 0), (engine.Running, engine.Waiting));
    }

    [Fact]
    public void A_text_that_cannot_be_drawn_fails_alone()
    {
        GenerationEngine engine = new(model, pool, new GenerationEngineOptions { Slots = 2 });
        // A row of the embedding that is not a number spoils the texts that hold its token.
        ((Coppice.Weights.DenseWeight)model.Embedding.Weight).Values.Data[3 * model.Width] = float.NaN;
        GenerationRequest bad = engine.Submit([3], new Sampler(), 4);
        while (engine.Step())
        {
        }
        Assert.Equal(StopReason.Failed, bad.Stop);
        Assert.Contains("NaN", bad.Failure!.Message);
    }

    [Fact]
    public void What_cannot_be_served_is_refused_at_once()
    {
        GenerationEngine engine = new(model, pool, new GenerationEngineOptions { Capacity = 9 });
        Assert.Equal("The prompt has 10 tokens, the context holds 9: shorten it", Assert.Throws<CoppiceException>(() => engine.Submit(new int[10], new Sampler(), 1)).Message);
        Assert.Contains("Token id 280", Assert.Throws<CoppiceException>(() => engine.Submit([280], new Sampler(), 1)).Message);
        Assert.Throws<CoppiceException>(() => new GenerationEngine(model, pool, new GenerationEngineOptions { Slots = 0 }));
        Assert.False(engine.Step());
    }
}
