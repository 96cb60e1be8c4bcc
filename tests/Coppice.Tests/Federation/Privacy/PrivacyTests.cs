using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Privacy;
using Coppice.Federation.Robust;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;

namespace Coppice.Tests.Federation.Privacy;

public sealed class PrivacyTests : IDisposable
{
    static readonly PrivacyOptions Central = new() { Clip = 0.5, Noise = 0.5, NewKey = () => [.. Enumerable.Range(0, 32).Select(i => (byte)i)] };

    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    [Fact]
    public void Noise_is_normal_and_depends_on_key_and_purpose_alone()
    {
        const int count = 200_000;
        using KeyedRandom random = new(Central.NewKey(), "noise");
        double[] draws = [.. Enumerable.Range(0, count).Select(_ => random.NextGaussian())];
        Assert.InRange(draws.Average(), -5 / Math.Sqrt(count), 5 / Math.Sqrt(count));
        Assert.InRange(draws.Sum(x => x * x) / count, 1 - 5 * Math.Sqrt(2.0 / count), 1 + 5 * Math.Sqrt(2.0 / count));
        Assert.InRange(draws.Count(x => Math.Abs(x) > 1.959964) / (double)count, 0.05 - 0.003, 0.05 + 0.003);
        Assert.InRange(draws.Zip(draws.Skip(1), (a, b) => a * b).Sum() / count, -5 / Math.Sqrt(count), 5 / Math.Sqrt(count));
        using KeyedRandom again = new(Central.NewKey(), "noise"), other = new(Central.NewKey(), "select");
        Assert.Equal(draws[0], again.NextGaussian());
        Assert.NotEqual(draws[0], other.NextGaussian());
    }

    [Fact]
    public void The_average_is_of_clipped_deltas_with_noise_on_their_sum()
    {
        // [3, 4] of norm 5 becomes [0.6, 0.8]; [0, 0.5] stays; of two clients expected.
        ParameterSet model = Set(0, 0);
        WeightedUpdate[] deltas = [new("a", 99, Set(3, 4)), new("b", 1, Set(0, 0.5f))];
        using KeyedRandom silent = new(Central.NewKey(), "x");
        Assert.Equal([0.3f, 0.65f], GaussianMechanism.Average(model, deltas, clip: 1, noise: 0, expected: 2, silent).Tensors["w"].Data.ToArray());

        ParameterSet wide = new([("w", new Tensor([100_000]))]);
        float[] noise = GaussianMechanism.Average(wide, [], clip: 2, noise: 3, expected: 4, silent).Tensors["w"].Data.ToArray();
        Assert.InRange(Math.Sqrt(noise.Sum(x => (double)x * x) / noise.Length), 1.5 * 0.98, 1.5 * 1.02);
    }

    [Fact]
    public void The_norm_follows_a_quantile()
    {
        PrivacyOptions adaptive = new() { Quantile = 0.5, Noise = 0.1, CountNoise = 1e-9 + 0.1, QuantileRate = 0.2 };
        Random draw = new(1);
        using KeyedRandom random = new(Central.NewKey(), "clip");
        WeightedUpdate[] deltas = [.. Enumerable.Range(0, 40).Select(i => new WeightedUpdate($"{i}", 1, Set((float)(1 + i), 0)))];
        double clip = 0.1;
        for (int round = 0; round < 200; round++)
            clip = GaussianMechanism.NextClip(clip, deltas, adaptive, 40, random);
        Assert.InRange(clip, 18, 23);
        // z^-2 = z_sum^-2 + (2 count noise)^-2
        PrivacyOptions split = new() { Quantile = 0.5, Noise = 1, CountNoise = 1 };
        Assert.Equal(1, 1 / (split.SumNoise * split.SumNoise) + 0.25, 1e-12);
    }

    [Fact]
    public void Clients_are_drawn_independently()
    {
        string[] clients = [.. Enumerable.Range(0, 100).Select(i => $"{i:D3}")];
        Random random = new(2);
        int[] counts = [.. Enumerable.Range(0, 2000).Select(_ => PoissonSampling.Draw(clients, 0.1, random.NextDouble).Count)];
        Assert.InRange(counts.Average(), 9.6, 10.4);
        // Of a fixed number there would be no spread; of independent clients it is n q (1 - q) = 9.
        double mean = counts.Average();
        Assert.InRange(counts.Sum(count => (count - mean) * (count - mean)) / counts.Length, 8, 10);
    }

    [Fact]
    public void Every_round_says_what_was_spent_and_noise_changes_the_model()
    {
        FederatedOptions options = Tiny.Options with { Privacy = Central, Participation = 0.5, Rounds = 6, LocalSteps = 1 };
        DecoderModel first = Tiny.Model(), second = Tiny.Model(), other = Tiny.Model();
        ImmutableArray<RoundRecord> rounds = Simulation.Run(first, Tiny.Channels(pool, 4), options);
        Simulation.Run(second, Tiny.Channels(pool, 4), options);
        Simulation.Run(other, Tiny.Channels(pool, 4), options with { Privacy = Central with { NewKey = () => new byte[32] } });

        Assert.Equal([.. Enumerable.Range(1, 6).Select(count => (double?)RenyiAccountant.Epsilon([(0.5, 0.5, count)], 1e-5))], rounds.Select(round => round.Epsilon));
        Assert.Equal(Tiny.Numbers(first), Tiny.Numbers(second));
        Assert.NotEqual(Tiny.Numbers(first), Tiny.Numbers(other));
        Assert.Null(Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2), Tiny.Options)[0].Epsilon);
    }

    [Fact]
    public void A_fixed_number_of_clients_gets_no_amplification()
    {
        ImmutableArray<RoundRecord> rounds = Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 4), Tiny.Options with { Privacy = Central, ClientsPerRound = 1, LocalSteps = 1 });
        Assert.Equal(RenyiAccountant.Epsilon([(1, 0.5, 3)], 1e-5), rounds[^1].Epsilon!.Value, 1e-9);
    }

    [Fact]
    public void A_round_over_budget_is_refused_before_it_is_charged_and_the_ledger_outlives_the_run()
    {
        using TemporaryFolder folder = new();
        RunJournal journal = new(folder.Path);
        double two = RenyiAccountant.Epsilon([(1, 0.5, 2)], 1e-5);
        FederatedOptions options = Tiny.Options with { Privacy = Central with { Budget = two + 0.01 }, LocalSteps = 1 };
        int asked = 0;
        for (int attempt = 0; attempt < 2; attempt++)
        {
            IClientChannel[] channels = [.. Tiny.Channels(pool, 2, journal).Select(channel => new Tapped(channel, (_, exchange) =>
            {
                asked++;
                return exchange();
            }))];
            CoppiceException error = Assert.Throws<CoppiceException>(() => Simulation.Run(Tiny.Model(), channels, options, journal));
            Assert.Contains("round 3 would bring epsilon to", error.Message, StringComparison.Ordinal);
        }
        Assert.Equal(2 * 2, asked);
        PrivacyLedger ledger = PrivacyLedger.Open(journal.LedgerFile, options.Privacy);
        Assert.Equal([1, 2], ledger.Charges.Select(charge => charge.Round));
        Assert.Equal(two, ledger.Epsilon, 1e-12);
        // Another run of the same clients goes on from there.
        Assert.Throws<CoppiceException>(() => ledger.Charge("another", 1, 1, 0.5));
        Assert.Equal(two, ledger.Charge("run again", 1, 1, 100), 0.01);
        Assert.Contains("epsilons of two deltas", Assert.Throws<CoppiceException>(() => PrivacyLedger.Open(journal.LedgerFile, options.Privacy with { Delta = 1e-6 })).Message, StringComparison.Ordinal);
        File.WriteAllText(journal.LedgerFile, "{}");
        Assert.Contains("privacy.json", Assert.Throws<CoppiceException>(() => PrivacyLedger.Open(journal.LedgerFile, options.Privacy)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Killed_and_run_again_it_has_the_same_noise_draw_and_norm_and_pays_once()
    {
        FederatedOptions options = Tiny.Options with { Privacy = Central with { Quantile = 0.5, Noise = 0.4, NewKey = new PrivacyOptions().NewKey }, Participation = 0.6, Rounds = 5 };
        DecoderModel undisturbed = Tiny.Model(), resumed = Tiny.Model();
        using TemporaryFolder folder = new(), other = new();
        RunJournal journal = new(folder.Path), copy = new(other.Path);
        int left = 4;
        IClientChannel[] channels = [.. Tiny.Channels(pool, 4, journal).Select(channel => new Tapped(channel, (_, exchange) =>
        {
            ReadOnlyMemory<byte> update = exchange();
            return left-- == 0 ? throw new OperationCanceledException() : update;
        }))];
        Assert.Throws<OperationCanceledException>(() => Simulation.Run(resumed, channels, options, journal));
        // The undisturbed run has the same secret.
        File.WriteAllText(copy.LedgerFile, File.ReadAllText(journal.LedgerFile));
        ImmutableArray<RoundRecord> rounds = Simulation.Run(resumed, Tiny.Channels(pool, 4, journal), options, journal);
        Simulation.Run(undisturbed, Tiny.Channels(pool, 4), options, copy);
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));
        Assert.Equal(5, PrivacyLedger.Open(journal.LedgerFile, options.Privacy).Charges.Count);
        Assert.Equal(5, rounds.Length);
    }

    [Fact]
    public void Noise_for_clients_by_chance_needs_their_number_and_a_ledger()
    {
        DecoderModel model = Tiny.Model();
        FederatedOptions options = Tiny.Options with { Privacy = Central, Participation = 0.5 };
        Round uncounted = new("run", 1, model.Config, ParameterSet.Copy(model), options) { Ledger = PrivacyLedger.Open(null, Central) };
        Assert.Contains("number of clients", Assert.Throws<CoppiceException>(() => uncounted.Close()).Message, StringComparison.Ordinal);
        Round free = new("run", 1, model.Config, ParameterSet.Copy(model), options) { ClientCount = 2 };
        Assert.Contains("without a ledger", Assert.Throws<CoppiceException>(() => free.Close()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_round_that_draws_nobody_is_noise_alone()
    {
        ImmutableArray<RoundRecord> rounds = Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2), Tiny.Options with { Privacy = Central, Participation = 0.05, Rounds = 4 });
        Assert.Contains(rounds, round => round.Clients.Length == 0 && double.IsNaN(round.LossBefore));
        using TemporaryFolder folder = new();
        RunJournal journal = new(folder.Path);
        FederatedOptions options = Tiny.Options with { Privacy = Central, Participation = 0.05, Rounds = 4 };
        Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2, journal), options, journal);
        Assert.Equal(4, Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2, journal), options, journal).Length);
        // Without noise the model stays as it is.
        DecoderModel model = Tiny.Model();
        Simulation.Run(model, Tiny.Channels(pool, 2), options with { Privacy = null, Participation = 1e-9 });
        Assert.Equal(Tiny.Numbers(Tiny.Model()), Tiny.Numbers(model));
    }

    [Fact]
    public void Local_noise_is_each_clients_own_and_counts_as_half()
    {
        PrivacyOptions local = new() { Place = PrivacyPlace.Local, Clip = 0.01, Noise = 4 };
        FederatedOptions options = Tiny.Options with { Privacy = local, Codec = new IdentityCodec(), Rounds = 1 };
        DecoderModel model = Tiny.Model();
        RoundRecord round = Simulation.Run(model, Tiny.Channels(pool, 2), options)[0];
        // The noise drowns the clipped delta: z S sqrt(numbers).
        double expected = 0.04 * Math.Sqrt(model.ParameterCount);
        Assert.All(round.Clients, client => Assert.InRange(client.Norm, 0.95 * expected, 1.05 * expected));
        Assert.Equal(RenyiAccountant.Epsilon([(1, 2, 1)], 1e-5), round.Epsilon!.Value, 1e-9);
    }

    [Theory]
    [InlineData("topk:0.1", "without error feedback")]
    [InlineData("int8-feedback", "without error feedback")]
    public void Error_feedback_does_not_go_with_clipping(string codec, string reason)
    {
        FederatedOptions options = Tiny.Options with { Privacy = Central, Codec = CodecRegistry.Find(codec) };
        Assert.Contains(reason, Assert.Throws<CoppiceException>(options.Validate).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Mixes_and_options_that_cannot_be_are_refused()
    {
        Refused(Tiny.Options with { Privacy = Central, Robust = RobustRegistry.Find("median") }, "which is measured for a sum");
        Refused(Tiny.Options with { Participation = 0.5, ClientsPerRound = 2 }, "wanted one of the two");
        Refused(Tiny.Options with { Privacy = Central with { Noise = 0 } }, "noise is 0");
        Refused(Tiny.Options with { Privacy = Central with { Quantile = 0.5, Noise = 3 } }, "above half of the noise");
        Refused(Tiny.Options with { Privacy = Central with { Quantile = 0.5, Place = PrivacyPlace.Local } }, "needs the server to count");
        Assert.Equal((PrivacyPlace.Central, 0.5, 1.0, 1e-6, 3.0), Read("central:0.5:1:1e-6:3"));
        Assert.Equal((PrivacyPlace.Local, 2.0, 4.0, 1e-5, double.PositiveInfinity), Read("local:2:4"));
        Assert.Equal(0.5, PrivacyOptions.Find("adaptive:0.5:1").Quantile);
        Assert.Contains("lacks noise", Assert.Throws<CoppiceException>(() => PrivacyOptions.Find("central:1")).Message, StringComparison.Ordinal);

        static void Refused(FederatedOptions options, string reason) => Assert.Contains(reason, Assert.Throws<CoppiceException>(options.Validate).Message, StringComparison.Ordinal);
        static (PrivacyPlace, double, double, double, double) Read(string text) => PrivacyOptions.Find(text) is var o ? (o.Place, o.Clip, o.Noise, o.Delta, o.Budget) : default;
    }

    static ParameterSet Set(params float[] values) => new([("w", Tensor.From([values.Length], values))]);
}
