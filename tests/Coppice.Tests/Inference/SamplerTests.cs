using Coppice.Inference;
using Coppice.Tensors;
using Coppice.Tests.Tensors.Simd;

namespace Coppice.Tests.Inference;

[Collection(SimdCollection.Name)]
public sealed class SamplerTests
{
    // Probabilities 0.1, 0.4, 0.2, 0.3.
    static readonly float[] Logits = [MathF.Log(0.1f), MathF.Log(0.4f), MathF.Log(0.2f), MathF.Log(0.3f)];

    [Fact]
    public void Greedy_takes_the_likeliest_and_of_equals_the_first()
    {
        Assert.Equal(1, new Sampler().Next(Logits));
        Assert.Equal(2, new Sampler().Next([0, 1, 5, 5, -3, 5]));
    }

    [Theory]
    [InlineData(1, 0, 1, new[] { 0.1, 0.4, 0.2, 0.3 })]
    [InlineData(1, 2, 1, new[] { 0, 4.0 / 7, 0, 3.0 / 7 })]
    [InlineData(1, 0, 0.65, new[] { 0, 4.0 / 7, 0, 3.0 / 7 })]
    [InlineData(1, 0, 0.75, new[] { 0, 4.0 / 9, 2.0 / 9, 3.0 / 9 })]
    [InlineData(1, 3, 0.75, new[] { 0, 4.0 / 7, 0, 3.0 / 7 })]
    [InlineData(1, 0, 0.001, new[] { 0, 1.0, 0, 0 })]
    [InlineData(0.5, 0, 1, new[] { 1 / 30.0, 16 / 30.0, 4 / 30.0, 9 / 30.0 })]
    public void Draws_follow_the_filtered_distribution(double temperature, int topK, double topP, double[] wanted)
    {
        Sampler sampler = new(4, new SamplingOptions { Temperature = (float)temperature, TopK = topK, TopP = (float)topP }, new Random(5));
        const int Draws = 20_000;
        int[] counts = new int[4];
        for (int i = 0; i < Draws; i++)
            counts[sampler.Next(Logits)]++;
        for (int id = 0; id < 4; id++)
            // Five standard errors; what was filtered out never comes.
            Assert.InRange((double)counts[id] / Draws, wanted[id] - 5 * Math.Sqrt(wanted[id] * (1 - wanted[id]) / Draws), wanted[id] + 5 * Math.Sqrt(wanted[id] * (1 - wanted[id]) / Draws));
    }

    [Fact]
    public void The_nucleus_of_many_tokens_is_that_of_a_full_sort()
    {
        Random random = new(9);
        float[] logits = [.. Enumerable.Range(0, 500).Select(_ => (float)(4 * random.NextDouble()))];
        double total = logits.Sum(x => Math.Exp(x)), reached = 0;
        HashSet<int> nucleus = [];
        foreach (int id in Enumerable.Range(0, 500).OrderByDescending(id => logits[id]))
            if (reached < 0.6 * total)
            {
                nucleus.Add(id);
                reached += Math.Exp(logits[id]);
            }
        Sampler sampler = new(500, new SamplingOptions { Temperature = 1, TopP = 0.6f }, random);
        HashSet<int> seen = [.. Enumerable.Range(0, 20_000).Select(_ => sampler.Next(logits))];
        Assert.Subset(nucleus, seen);
        Assert.True(seen.Count > 0.95 * nucleus.Count);
    }

    [Fact]
    public void One_seed_gives_one_text()
    {
        int[] Draw(int seed)
        {
            Sampler sampler = new(4, new SamplingOptions { Temperature = 1, TopP = 0.95f }, new Random(seed));
            return [.. Enumerable.Range(0, 50).Select(_ => sampler.Next(Logits))];
        }
        Assert.Equal(Draw(1), Draw(1));
        Assert.NotEqual(Draw(1), Draw(2));
    }

    [Fact]
    public void A_draw_allocates_nothing()
    {
        Sampler sampler = new(4, new SamplingOptions { Temperature = 0.8f, TopK = 3, TopP = 0.9f }, new Random(5));
        Allocations.None(() => sampler.Next(Logits));
    }

    [Fact]
    public void Bad_logits_and_settings_are_refused()
    {
        Assert.Contains("token 1 is NaN", Assert.Throws<CoppiceException>(() => new Sampler().Next([1, float.NaN, 2])).Message, StringComparison.Ordinal);
        Assert.Throws<CoppiceException>(() => new Sampler().Next([float.NegativeInfinity]));
        Assert.Throws<CoppiceException>(() => new SamplingOptions { Temperature = -1 }.Validate());
        Assert.Throws<CoppiceException>(() => new SamplingOptions { TopK = -1 }.Validate());
        Assert.Throws<CoppiceException>(() => new SamplingOptions { TopP = 0 }.Validate());
    }
}
