using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Evaluation;
using Coppice.Tests.Tensors.Simd;

namespace Coppice.Tests.Inference;

[Collection(SimdCollection.Name)]
public sealed class GeneratorTests : IDisposable
{
    readonly WorkerPool pool = new(2);
    readonly DecoderModel model = TinyModels.Model(4);

    public void Dispose() => pool.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    public void Logits_through_the_cache_are_those_of_the_whole_text_bit_for_bit(int step)
    {
        int[] ids = [.. Enumerable.Range(0, 42).Select(i => i * 97 % 280)];
        float[] whole = model.Forward(new Batch(ids), new ForwardContext(pool)).Data.ToArray();
        Generator generator = new(model, new Sampler(), pool, cache: KeyValueFormat.Float32);
        for (int end = step; end <= ids.Length; end += step)
        {
            generator.Prefill(ids.AsSpan(end - step, step));
            SimdTesting.SameBits(whole.AsSpan((end - 1) * model.VocabularySize, model.VocabularySize), generator.Logits, $"logits after {end} tokens");
        }
    }

    [Theory]
    [InlineData(KeyValueFormat.Float16)]
    [InlineData(KeyValueFormat.Int4)]
    [InlineData(KeyValueFormat.Int4Token)]
    public void A_text_cut_anywhere_goes_on_as_if_nothing_had_followed(KeyValueFormat format)
    {
        int[] ids = [.. Enumerable.Range(0, 48).Select(i => i * 97 % 280)], other = [.. ids.Select((id, i) => i < 41 ? id : id + 3)];
        foreach (int cut in (int[])[20, 32, 41, 47])
        {
            int[] second = [.. ids[..cut].Concat(other[cut..])];
            Generator whole = new(model, new Sampler(), pool, cache: format), again = new(model, new Sampler(), pool, cache: format);
            whole.Prefill(second);
            again.Prefill(ids);
            again.Restart(second);
            SimdTesting.SameBits(whole.Logits, again.Logits, $"{format}, cut to {cut} tokens");
        }
    }

    [Fact]
    public void Greedy_text_is_that_of_full_passes()
    {
        List<int> wanted = [7, 8];
        while (wanted.Count < 20)
            wanted.Add(new Sampler().Next(model.ForwardLast(new Batch(wanted.ToArray()), new ForwardContext(pool)).Data));
        Generator generator = new(model, new Sampler(), pool, cache: KeyValueFormat.Float32);
        List<int> told = [];
        GenerationTiming timing = generator.Generate([7, 8], 18, told.Add);
        Assert.Equal(wanted, generator.Tokens.ToArray());
        Assert.Equal(wanted.Skip(2), told);
        Assert.Equal(StopReason.MaxTokens, generator.Stop);
        Assert.Equal((2, 18, 17), (timing.PromptTokens, timing.Tokens, timing.LaterSeconds.Count));
        Assert.True(timing.FirstTokenSeconds > 0 && timing.Median > 0 && timing.Median <= timing.P95 && timing.P95 <= timing.P99);
        Assert.Equal(17 / timing.LaterSeconds.Sum(), timing.TokensPerSecond, 1e-6);

        generator.Reset();
        generator.Generate([7, 8], 18);
        Assert.Equal(wanted, generator.Tokens.ToArray());
    }

    [Fact]
    public void Text_ends_at_the_end_token_which_is_not_handed_out()
    {
        Generator free = new(model, new Sampler(), pool);
        free.Generate([7, 8], 10);
        int end = free.Tokens[6];
        int before = free.Tokens[2..].IndexOf(end);
        Generator generator = new(model, new Sampler(), pool, endToken: end);
        Assert.Equal(before, generator.Generate([7, 8], 10).Tokens);
        Assert.Equal(StopReason.EndToken, generator.Stop);
        Assert.False(generator.Next(out _));
    }

    [Fact]
    public void Text_ends_where_the_context_is_full()
    {
        Generator generator = new(model, new Sampler(), pool, capacity: 9);
        Assert.Equal(6, generator.Generate([1, 2, 3], 100).Tokens);
        Assert.Equal((9, StopReason.ContextFull), (generator.Count, generator.Stop));
        generator.Reset();
        Assert.Equal("The prompt has 10 tokens, the context holds 9: shorten it", Assert.Throws<CoppiceException>(() => generator.Prefill(new int[10])).Message);
    }

    [Fact]
    public void A_prompt_goes_on_behind_what_was_generated()
    {
        Generator generator = new(model, new Sampler(), pool, cache: KeyValueFormat.Float32);
        generator.Generate([1, 2, 3], 4);
        generator.Prefill([5, 6]);
        float[] logits = generator.Logits.ToArray();
        Assert.Equal(9, generator.Count);
        SimdTesting.SameBits(model.ForwardLast(new Batch(generator.Tokens), new ForwardContext(pool)).Data, logits, "logits");
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(0.9f)]
    public void A_token_allocates_nothing_on_any_thread(float temperature)
    {
        Generator generator = new(model, new Sampler(model.VocabularySize, new SamplingOptions { Temperature = temperature, TopP = 0.9f }, new Random(1)), pool);
        TextStream text = new(TinyModels.Tokenizer);
        int characters = 0;
        int[] prompt = [1, 2, 3];
        Allocations.None(() =>
        {
            generator.Reset();
            generator.Prefill(prompt);
            while (generator.Count < 40 && generator.Next(out int token))
                characters += text.Add(token).Length;
        });
        Assert.True(characters > 0);
    }
}
