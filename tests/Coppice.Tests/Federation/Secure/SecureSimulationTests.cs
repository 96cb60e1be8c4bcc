using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Privacy;
using Coppice.Federation.Robust;
using Coppice.Federation.Secure;
using Coppice.Federation.Strategies;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Tests.Federation.Secure;

/// <summary>Whole runs: the same as without secure aggregation but for the rounding, and nothing but sums at the server.</summary>
public sealed class SecureSimulationTests : IDisposable
{
    // A norm that no update reaches, and weights that none is cut to.
    static readonly FederatedOptions Options = Tiny.Options with { Codec = new IdentityCodec(), Secure = new SecureOptions { Clip = 4, MaxWeight = 256 } };

    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    [Theory]
    [InlineData(SecureTransform.Hadamard, 16)]
    [InlineData(SecureTransform.None, 24)]
    public void The_model_is_that_of_plain_averaging_but_for_rounding(SecureTransform transform, int bits)
    {
        DecoderModel plain = Tiny.Model(), secure = Tiny.Model();
        ImmutableArray<RoundRecord> open = Simulation.Run(plain, Tiny.Channels(pool, 5), Options with { Secure = null });
        ImmutableArray<RoundRecord> hidden = Simulation.Run(secure, Channels(5), Options with { Secure = Options.Secure! with { Transform = transform, Bits = bits } });

        double difference = Math.Sqrt(Tiny.Numbers(plain).Zip(Tiny.Numbers(secure), (a, b) => (double)(a - b) * (a - b)).Sum()), change = Math.Sqrt(Tiny.Numbers(plain).Zip(Tiny.Numbers(Tiny.Model()), (a, b) => (double)(a - b) * (a - b)).Sum());
        Assert.InRange(difference, 1e-9, 5e-3 * change);
        for (int i = 0; i < open.Length; i++)
        {
            Assert.Equal(open[i].LossBefore, hidden[i].LossBefore, 1e-3);
            Assert.Equal(open[i].LossAfter, hidden[i].LossAfter, 1e-3);
            Assert.Equal(open[i].Clients.Sum(client => (long)client.Samples), hidden[i].Secure!.Weight);
            Assert.Equal((5, 4, 4, 0), (hidden[i].Secure!.Keys, hidden[i].Secure!.Minimum, hidden[i].Secure!.Neighbours, hidden[i].Secure!.Shortened));
            Assert.All(hidden[i].Clients, client => Assert.True(client.Samples == 0 && double.IsNaN(client.LossBefore) && double.IsNaN(client.Norm)));
        }
    }

    [Fact]
    public void A_seed_decides_the_result_and_keys_do_not()
    {
        float[][] results = [.. new[] { 9, 9, 10 }.Select(seed =>
        {
            DecoderModel model = Tiny.Model();
            Simulation.Run(model, Channels(6), Options with { Seed = seed, Dropout = 0.05 });
            return Tiny.Numbers(model);
        })];
        Assert.Equal(results[0], results[1]);
        Assert.NotEqual(results[0], results[2]);
    }

    [Fact]
    public void Clients_drop_out_at_every_step_and_the_sum_is_of_those_whose_numbers_came()
    {
        HashSet<string> reasons = [];
        int left = 0, rounds = 0;
        for (int seed = 1; seed <= 6; seed++)
        {
            ImmutableArray<RoundRecord> records = Simulation.Run(Tiny.Model(), Channels(20), Options with { Seed = seed, Dropout = 0.12, Rounds = 2, LocalSteps = 1 });
            Assert.All(records, round => Assert.Equal(20, round.Clients.Length + round.Dropped.Length));
            reasons.UnionWith(records.SelectMany(round => round.Dropped).Select(dropped => dropped.Reason));
            left += records.Sum(round => round.Dropped.Length);
            rounds += records.Length;
        }
        // Those who leave after their numbers came are in the sum.
        Assert.Equal(["did not answer in step 1 (simulated)", "did not answer in step 2 (simulated)", "did not answer in step 3 (simulated)"], reasons.Order(StringComparer.Ordinal));
        Assert.InRange(left, 1, rounds * 20 * 0.12);
    }

    [Fact]
    public void Too_many_dropouts_end_the_run_in_one_line()
    {
        string message = Assert.Throws<CoppiceException>(() => Simulation.Run(Tiny.Model(), Channels(6), Options with { Dropout = 0.95 })).Message;
        Assert.Matches("^Round 1: [Ss]ecure aggregation: .*; .*'client-[0-9]' did not answer in step [1-5] \\(simulated\\)", message);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void No_message_says_anything_of_a_single_client_but_its_masked_numbers()
    {
        HashSet<string> formats = [];
        long up = 0, down = 0;
        string[] fields = ["format", "attempt", "client"];
        IClientChannel[] channels = [.. Channels(5).Select(channel => new Tapped(channel, (asked, exchange) =>
        {
            ReadOnlyMemory<byte> answer = exchange();
            JsonObject control = WireFormat.Control(answer, out ReadOnlyMemory<byte> rest);
            string format = control["format"]!.GetValue<string>();
            formats.Add(format);
            if (format == MaskedInput.CurrentFormat)
                Assert.Equal(fields, control.Select(field => field.Key));
            else
                Assert.Equal(0, rest.Length);
            Assert.DoesNotContain(control, field => field.Key is "samples" or "lossBefore" or "lossAfter");
            Assert.Equal(answer.ToArray(), exchange().ToArray());
            up += answer.Length;
            down += asked.Length;
            return answer;
        }))];
        ImmutableArray<RoundRecord> records = Simulation.Run(Tiny.Model(), channels, Options with { Rounds = 1 });
        Assert.Equal(5, formats.Count);
        Assert.Equal(up, records[0].BytesUp);
        Assert.Equal(up, records[0].Clients.Sum(client => client.BytesUp));
        Assert.Equal(down, records[0].BytesDown);
        // 19 bits a number, against 32.
        Assert.InRange(up, 0.59 * records[0].Float32BytesUp, 0.59 * records[0].Float32BytesUp + 5 * 4000);
    }

    [Fact]
    public void A_plain_task_is_not_answered_with_an_update()
    {
        SecureChannel channel = Channels(3)[0];
        ParameterSet model = ParameterSet.Copy(Tiny.Model());
        Round round = new("run", 1, Tiny.Model().Config, model, Options), next = new("run", 2, Tiny.Model().Config, model, Options), other = new("other", 1, Tiny.Model().Config, model, Options);
        Assert.Contains("nothing is sent in the open", Refusal(channel, round.TaskFor("client-0")), StringComparison.Ordinal);

        SecureChannel[] open = [.. Enumerable.Range(0, 2).Select(_ => new SecureChannel(new Client("client-0", Tiny.Text(0), pool), ECDsa.Create(ECCurve.NamedCurves.nistP256), new SigningKeys([])) { AnswersOpenly = true })];
        SecureSetup setup = SecureSetup.New(Options.Secure!, "run", 1, ParameterRow.LengthOf(round.Shared), 1);
        Assert.Equal("coppice.update.1", Message.FormatOf("answer", open[0].Exchange(round.TaskFor("client-0"), default)));
        Assert.Equal(KeyAdvert.CurrentFormat, Message.FormatOf("answer", open[1].Exchange(round.TaskFor("client-0", setup), default)));
        // Not even the same task behind the attempt, nor a later one.
        Assert.Contains("an update is not sent in the open", Refusal(open[1], round.TaskFor("client-0")), StringComparison.Ordinal);
        Assert.Contains("an update is not sent in the open", Refusal(open[1], next.TaskFor("client-0")), StringComparison.Ordinal);
        Assert.Equal("coppice.update.1", Message.FormatOf("answer", open[1].Exchange(other.TaskFor("client-0"), default)));
    }

    [Fact]
    public void A_client_that_wants_one_way_of_secure_aggregation_takes_part_in_no_other()
    {
        Round round = new("run", 1, Tiny.Model().Config, ParameterSet.Copy(Tiny.Model()), Options);
        SecureChannel channel = new(new Client("client-0", Tiny.Text(0), pool), ECDsa.Create(ECCurve.NamedCurves.nistP256), new SigningKeys([])) { Wanted = Options.Secure };
        SecureSetup same = SecureSetup.New(Options.Secure!, "run", 1, ParameterRow.LengthOf(round.Shared), 1), weaker = SecureSetup.New(Options.Secure! with { Adversaries = 0 }, "run", 1, ParameterRow.LengthOf(round.Shared), 1);
        Assert.Contains("takes part in Hadamard:4:16:256:0.3:0.2:40:30 alone", Refusal(channel, round.TaskFor("client-0", weaker)), StringComparison.Ordinal);
        Assert.Equal(KeyAdvert.CurrentFormat, Message.FormatOf("answer", channel.Exchange(round.TaskFor("client-0", same), default)));
    }

    static string Refusal(SecureChannel channel, ReadOnlyMemory<byte> message) => Assert.Throws<CoppiceException>(() => channel.Exchange(message, default)).Message;

    [Fact]
    public void An_update_that_is_too_long_is_shortened_and_counted()
    {
        DecoderModel model = Tiny.Model();
        RoundRecord round = Simulation.Run(model, Channels(5), Options with { Rounds = 1, Secure = Options.Secure! with { Clip = 0.01 } })[0];
        Assert.Equal(5, round.Secure!.Shortened);
        double change = Math.Sqrt(Tiny.Numbers(model).Zip(Tiny.Numbers(Tiny.Model()), (a, b) => (double)(a - b) * (a - b)).Sum());
        Assert.InRange(change, 0.001, 0.0101);
    }

    [Fact]
    public void Noise_that_clients_share_is_charged_and_told_of_nobody()
    {
        PrivacyOptions privacy = new() { Place = PrivacyPlace.Distributed, Noise = 2 };
        FederatedOptions options = Options with { Privacy = privacy, Secure = Options.Secure! with { Bits = 8 } };
        DecoderModel plain = Tiny.Model(), noisy = Tiny.Model();
        Simulation.Run(plain, Channels(5), options with { Privacy = null });
        ImmutableArray<RoundRecord> rounds = Simulation.Run(noisy, Channels(5), options);
        for (int i = 0; i < rounds.Length; i++)
        {
            // Nothing is made of who is drawn: whoever adds the sum up may have drawn them.
            Assert.Equal(RenyiAccountant.Epsilon([(1, 2, i + 1)], privacy.Delta), rounds[i].Epsilon!.Value, 1e-3);
            Assert.True(double.IsNaN(rounds[i].LossBefore) && double.IsNaN(rounds[i].LossAfter));
            Assert.Equal((5, 0), (rounds[i].Secure!.Weight, rounds[i].Secure!.Shortened));
        }
        // Four of five clients are certain to be there, three of them honest: of all five the noise is sqrt(5 / 3) times 2 S on each number of the sum, in each of three rounds.
        float[] with = Tiny.Numbers(noisy), without = Tiny.Numbers(plain);
        double deviation = Math.Sqrt(with.Zip(without, (a, b) => (double)(a - b) * (a - b)).Average());
        Assert.InRange(deviation / (Math.Sqrt(5 / 3.0) * 2 * options.Secure!.Clip / 5 * Math.Sqrt(3)), 0.9, 1.2);
        Assert.Contains("the budget is 0.5", Assert.Throws<CoppiceException>(() => Simulation.Run(Tiny.Model(), Channels(5), options with { Privacy = privacy with { Budget = 0.5 } })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_that_wants_noise_takes_part_in_nothing_without()
    {
        Round round = new("run", 1, Tiny.Model().Config, ParameterSet.Copy(Tiny.Model()), Options);
        SecureOptions noisy = Options.Secure!.With(new PrivacyOptions { Place = PrivacyPlace.Distributed, Noise = 1 });
        SecureChannel channel = new(new Client("client-0", Tiny.Text(0), pool), ECDsa.Create(ECCurve.NamedCurves.nistP256), new SigningKeys([])) { Wanted = noisy };
        foreach (SecureOptions other in new[] { Options.Secure!, noisy with { Noise = 0.9 } })
            Assert.Contains("takes part in Hadamard:4:16:1:0.3:0.2:40:30:1 alone", Refusal(channel, round.TaskFor("client-0", SecureSetup.New(other, "run", 1, ParameterRow.LengthOf(round.Shared), 1))), StringComparison.Ordinal);
        Assert.Equal(KeyAdvert.CurrentFormat, Message.FormatOf("answer", channel.Exchange(round.TaskFor("client-0", SecureSetup.New(noisy, "run", 1, ParameterRow.LengthOf(round.Shared), 1)), default)));
    }

    [Fact]
    public void Strategies_of_the_mean_and_rounded_downloads_go_with_it()
    {
        foreach (IStrategy strategy in (IStrategy[])[StrategyRegistry.Find("fedavgm"), StrategyRegistry.Find("fedadam:0.01"), StrategyRegistry.Find("fedprox")])
        {
            ImmutableArray<RoundRecord> rounds = Simulation.Run(Tiny.Model(), Channels(4), Options with { Strategy = strategy, Download = DownloadFormat.Float16, Personal = ["model.norm.weight"] });
            Assert.True(rounds[^1].LossBefore < rounds[0].LossBefore, strategy.Name);
        }
    }

    [Fact]
    public void What_needs_single_updates_is_refused_with_the_reason()
    {
        (FederatedOptions Options, string Reason)[] mixes =
        [
            (Options with { Codec = new Int8Codec() }, "'int8' is not linear"),
            (Options with { Codec = CodecRegistry.Find("mask:0.5"), Strategy = new MaskVote() }, "sends votes"),
            (Options with { Robust = RobustRegistry.Find("median") }, "nothing but their sum"),
            (Options with { Privacy = new PrivacyOptions() }, "central noise"),
            (Options with { Privacy = new PrivacyOptions { Place = PrivacyPlace.Local } }, "would be cut off again"),
            (Options with { Secure = null, Privacy = new PrivacyOptions { Place = PrivacyPlace.Distributed } }, "only secure aggregation hides"),
            (Options with { Privacy = new PrivacyOptions { Place = PrivacyPlace.Distributed, Quantile = 0.5 } }, "wanted central noise"),
            (Options with { Strategy = new Scaffold(), Training = Tiny.Training with { Optimizer = OptimizerKind.Sgd } }, "none is decoded alone"),
            (Options with { Strategy = StrategyRegistry.Find("fedbuff") }, "when a group of clients is complete"),
            (Options with { Secure = new SecureOptions { Bits = 30 } }, "bits is 30"),
        ];
        foreach ((FederatedOptions options, string reason) in mixes)
            Assert.Contains(reason, Assert.Throws<CoppiceException>(options.Validate).Message, StringComparison.Ordinal);
    }

    IReadOnlyList<SecureChannel> Channels(int count) => SecureChannel.ForAll([.. Enumerable.Range(0, count).Select(i => new Client(Tiny.Name(i), Tiny.Text(i, 200 + 40 * i), pool))]);
}
