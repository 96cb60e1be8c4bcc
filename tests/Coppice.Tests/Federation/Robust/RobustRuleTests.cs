using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Attacks;
using Coppice.Federation.Codecs;
using Coppice.Federation.Robust;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Robust;

public sealed class RobustRuleTests : IDisposable
{
    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    [Fact]
    public void The_median_is_each_numbers_own()
    {
        Assert.Equal([2f, 10f], Combine("median", [1, 30], [2, 10], [100, -5]));
        Assert.Equal([1.5f, 20f], Combine("median", [1, 30], [2, 10]));
    }

    [Fact]
    public void The_trimmed_mean_leaves_out_the_ends()
    {
        // One of five is cut at either end: (2 + 3 + 4) / 3, (0 + 0 + 3) / 3.
        Assert.Equal([3f, 1f], Combine("trimmed:0.2", [1, 0], [2, 0], [3, 0], [4, 3], [1000, 99]));
        Assert.Equal([2f, 1f], Combine("trimmed:0", [1, 0], [3, 2]));
        Assert.Contains("leaves none", Assert.Throws<CoppiceException>(() => Combine("trimmed:0.4", [1, 0], [3, 2])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Krum_takes_the_update_whose_neighbours_are_nearest()
    {
        // f = 1 of 5, two neighbours each: [1, 0] has 1 + 1, [0, 0] has 1 + 4, [2, 0] 1 + 4; the far ones have far more.
        Assert.Equal([1f, 0f], Combine("krum:0.2", [0, 0], [2, 0], [1, 0], [50, 50], [9, 9]));
        // Multi-Krum leaves out the one worst: (0 + 2 + 1 + 9) / 4, (0 + 0 + 0 + 9) / 4.
        Assert.Equal([3f, 2.25f], Combine("multikrum:0.2", [0, 0], [2, 0], [1, 0], [50, 50], [9, 9]));
        Assert.Contains("wanted 5 or more", Assert.Throws<CoppiceException>(() => Combine("krum:0.2", [0, 0], [2, 0], [1, 0], [5, 5])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bulyan_keeps_what_is_near_the_median_of_krums_choices()
    {
        float[] bulyan = Combine("bulyan:0.14", [0, 0], [1, 1], [2, 2], [3, 3], [4, 4], [2, 2], [1000, -1000]);
        Assert.All(bulyan, value => Assert.InRange(value, 1, 3));
        Assert.Contains("wanted 7 or more", Assert.Throws<CoppiceException>(() => Combine("bulyan:0.2", [0, 0], [2, 0], [1, 0], [5, 5], [6, 6])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Norms_are_clipped_and_samples_count()
    {
        // [6, 8] of norm 10 becomes [3, 4]; (3 [3, 4] + [0, 1]) / 4.
        Assert.Equal([2.25f, 3.25f], Combine("clip:5", [6, 8], [0, 1]));
        // The median of norms 10 and 1 is 5.5.
        Assert.Equal([(float)(0.75 * 3.3), (float)(0.75 * 4.4 + 0.25)], Combine("clip", [6, 8], [0, 1]));
    }

    [Theory]
    [InlineData("median")]
    [InlineData("trimmed")]
    [InlineData("krum")]
    [InlineData("multikrum")]
    [InlineData("bulyan:0.1")]
    [InlineData("clip")]
    public void The_order_of_updates_changes_nothing_and_an_honest_round_gives_what_all_say(string name)
    {
        Random random = new(1);
        WeightedUpdate[] updates = [.. Enumerable.Range(0, 7).Select(i => Update(i, [(float)random.NextDouble(), (float)random.NextDouble(), (float)random.NextDouble()]))];
        IRobustRule rule = RobustRegistry.Find(name);
        Assert.Equal(rule.Combine(updates).Tensors["w"].Data.ToArray(), rule.Combine([.. updates.Reverse()]).Tensors["w"].Data.ToArray());
        Assert.Equal([1f, -2f], Combine(name, [.. Enumerable.Range(0, 7).Select(_ => new float[] { 1, -2 })]));
    }

    [Theory]
    [InlineData("median")]
    [InlineData("trimmed:0.2")]
    [InlineData("krum:0.2")]
    [InlineData("multikrum:0.2")]
    public void A_fifth_of_attackers_breaks_the_average_and_not_the_rule(string rule)
    {
        FederatedOptions options = Tiny.Options with { Rounds = 8, LocalSteps = 4, Codec = new IdentityCodec() };
        double honest = Last(options, null), broken = Last(options, Attack.Find("signflip:0.2:20")), robust = Last(options with { Robust = RobustRegistry.Find(rule) }, Attack.Find("signflip:0.2:20"));
        Assert.True(broken > honest + 0.5, $"{honest} honest, {broken} attacked");
        Assert.True(robust < honest + 0.25, $"{honest} honest, {robust} with {rule}");
    }

    double Last(FederatedOptions options, Attack? attack)
    {
        string[] names = [.. Enumerable.Range(0, 5).Select(Tiny.Name)];
        IReadOnlySet<string> attackers = attack?.Attackers(names, 1) ?? new HashSet<string>();
        // Texts that are alike, so that updates are.
        IClientChannel[] channels = [.. names.Select((name, i) => new LocalChannel(new Client(name, [.. Tiny.Text(i % 2), .. Tiny.Text(1 - i % 2)], pool) { Attack = attackers.Contains(name) ? attack : null }))];
        ImmutableArray<RoundRecord> rounds = Simulation.Run(Tiny.Model(), channels, options);
        return rounds[^1].Clients.Where(client => !attackers.Contains(client.Client)).Average(client => client.LossBefore);
    }

    static float[] Combine(string name, params float[][] deltas) =>
        RobustRegistry.Find(name).Combine([.. deltas.Select((values, i) => Update(i, values))]).Tensors["w"].Data.ToArray();

    static WeightedUpdate Update(int client, float[] values) => new($"client-{client}", client == 0 ? 3 : 1, new ParameterSet([("w", Tensor.From([values.Length], values))]));
}
