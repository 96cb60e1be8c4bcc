using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Evaluation;
using Coppice.Tests.Models;
using Coppice.Tests.Tensors.Simd;

namespace Coppice.Tests.Inference;

[Collection(SimdCollection.Name)]
public sealed class SpeculationTests : IDisposable
{
    readonly WorkerPool pool = new(2);
    readonly DecoderModel model = TinyModels.Model(4), draft = TinyModels.Model(5);

    public void Dispose() => pool.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(64)]
    public void Greedy_text_is_the_model_s_own_whatever_the_draft_guesses(int tokens)
    {
        Generator alone = new(model, new Sampler(), pool, capacity: 48);
        alone.Generate([7, 8, 9], 100);
        foreach (DecoderModel guesser in new[] { draft, model })
        {
            Generator generator = new(model, new Sampler(), pool, capacity: 48, draft: new DraftOptions(guesser) { Tokens = tokens });
            for (int round = 0; round < 2; round++)
            {
                generator.Reset();
                Assert.Equal(45, generator.Generate([7, 8, 9], 100).Tokens);
                Assert.Equal(alone.Tokens, generator.Tokens);
                Assert.Equal(StopReason.ContextFull, generator.Stop);
            }
            (long guessed, long accepted) = generator.Drafted;
            Assert.True(guessed > 0 && accepted <= guessed);
            Assert.True(guesser != model || accepted == guessed, $"the model took {accepted} of its own {guessed} guesses");
        }
    }

    [Fact]
    public void The_end_token_and_a_prompt_behind_the_text_cut_off_what_was_guessed()
    {
        Generator alone = new(model, new Sampler(), pool);
        alone.Generate([7, 8], 10);
        int end = alone.Tokens[6];
        Generator ended = new(model, new Sampler(), pool, endToken: end, draft: new DraftOptions(model));
        Assert.Equal(alone.Tokens[2..].IndexOf(end), ended.Generate([7, 8], 10).Tokens);
        Assert.Equal(StopReason.EndToken, ended.Stop);
        Assert.False(ended.Next(out _));

        Generator generator = new(model, new Sampler(), pool, draft: new DraftOptions(model)), plain = new(model, new Sampler(), pool);
        foreach (Generator one in new[] { generator, plain })
        {
            one.Generate([1, 2, 3], 7);
            one.Prefill([5, 6]);
        }
        SimdTesting.SameBits(plain.Logits, generator.Logits, "logits");
        plain.Generate([4], 9);
        generator.Generate([4], 9);
        Assert.Equal(plain.Tokens, generator.Tokens);
    }

    // Texts of three tokens over a vocabulary of 17: how often each pair comes, with a draft and without.
    [Theory]
    [InlineData(1f, 0, 1f)]
    [InlineData(0.7f, 5, 0.9f)]
    public void Drawn_text_has_the_model_s_distribution(float temperature, int topK, float topP)
    {
        DecoderModel target = TinyLlama.Create(seed: 1), guesser = TinyLlama.Create(seed: 2);
        SamplingOptions options = new() { Temperature = temperature, TopK = topK, TopP = topP };
        const int Texts = 6000;
        Dictionary<(int, int), int> drawn = [], wanted = [];
        using WorkerPool one = new(1);
        Generator speculative = new(target, new Sampler(17, options, new Random(1)), one, capacity: 8, draft: new DraftOptions(guesser) { Tokens = 2 });
        Generator plain = new(target, new Sampler(17, options, new Random(2)), one, capacity: 8);
        for (int i = 0; i < Texts; i++)
        {
            Count(speculative, drawn);
            Count(plain, wanted);
        }
        (long guessed, long accepted) = speculative.Drafted;
        Assert.InRange((double)accepted / guessed, 0.02, 0.98);
        // Pearson's statistic of two samples of equal size: its mean is the number of cells less one, its variance twice that.
        double chi = 0;
        int cells = 0;
        foreach ((int, int) pair in drawn.Keys.Union(wanted.Keys))
        {
            int a = drawn.GetValueOrDefault(pair), b = wanted.GetValueOrDefault(pair);
            (chi, cells) = (chi + (double)(a - b) * (a - b) / (a + b), cells + 1);
        }
        Assert.True(chi < cells - 1 + 4 * Math.Sqrt(2.0 * cells), $"chi-square {chi:0.0} over {cells} cells");

        static void Count(Generator generator, Dictionary<(int, int), int> counts)
        {
            generator.Restart([3, 1]);
            int[] tokens = [.. Enumerable.Range(0, 3).Select(_ => generator.Next(out int token) ? token : -1)];
            counts[(tokens[1], tokens[2])] = counts.GetValueOrDefault((tokens[1], tokens[2])) + 1;
        }
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(0.9f)]
    public void A_token_allocates_nothing(float temperature)
    {
        Sampler sampler = new(model.VocabularySize, new SamplingOptions { Temperature = temperature }, new Random(1));
        Generator generator = new(model, sampler, pool, draft: new DraftOptions(draft));
        int[] prompt = [1, 2, 3];
        Allocations.None(() =>
        {
            generator.Reset();
            generator.Prefill(prompt);
            while (generator.Count < 40 && generator.Next(out _))
            {
            }
        });
    }

    [Fact]
    public void A_draft_that_does_not_fit_is_refused()
    {
        Assert.Contains("vocabulary of 17", Assert.Throws<CoppiceException>(() => new Generator(model, new Sampler(), pool, draft: new DraftOptions(TinyLlama.Create()))).Message);
        Assert.Contains("0 tokens at a time", Assert.Throws<CoppiceException>(() => new Generator(model, new Sampler(), pool, draft: new DraftOptions(draft) { Tokens = 0 })).Message);
    }
}
