using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Strategies;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Training;

namespace Coppice.Tests.Federation.Strategies;

public sealed class StrategyRunTests : IDisposable
{
    static readonly TrainingOptions Plain = Tiny.Training with { Optimizer = OptimizerKind.Sgd, LearningRate = 0.3, WarmupSteps = 0, FinalRateShare = 1, GradientClip = 0 };

    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    [Theory]
    [InlineData("fedprox:0.1")]
    [InlineData("fedavgm:0.5")]
    [InlineData("fedadam:0.01")]
    [InlineData("fedyogi:0.01")]
    [InlineData("fedadagrad:0.03")]
    [InlineData("fedbuff:2")]
    [InlineData("scaffold")]
    public void Every_strategy_trains(string name)
    {
        FederatedOptions options = Tiny.Options with { Rounds = 8, LocalSteps = 4, Strategy = StrategyRegistry.Find(name), Training = name == "scaffold" ? Plain : Tiny.Training };
        ImmutableArray<RoundRecord> rounds = Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 4), options);
        Assert.Equal(8, rounds.Length);
        Assert.True(rounds[^1].LossBefore < rounds[0].LossBefore - 0.1, $"{rounds[0].LossBefore} to {rounds[^1].LossBefore}");
    }

    [Theory]
    [InlineData("fedavgm", "topk:0.1", 4)]
    [InlineData("fedadam", "int8", 7)]
    [InlineData("scaffold", "int4", 5)]
    [InlineData("fedavg", "powersgd:1", 5)]
    public void Killed_and_run_again_it_ends_with_the_same_bytes(string strategy, string codec, int exchanges)
    {
        FederatedOptions options = Tiny.Options with { Rounds = 4, Strategy = StrategyRegistry.Find(strategy), Codec = CodecRegistry.Find(codec), Training = strategy == "scaffold" ? Plain : Tiny.Training };
        DecoderModel undisturbed = Tiny.Model(), resumed = Tiny.Model();
        Simulation.Run(undisturbed, Tiny.Channels(pool, 3), options);

        using TemporaryFolder folder = new();
        int left = exchanges;
        IClientChannel[] channels = [.. Tiny.Channels(pool, 3, new RunJournal(folder.Path)).Select(channel => new Tapped(channel, (_, exchange) => left-- == 0 ? throw new OperationCanceledException() : exchange()))];
        Assert.Throws<OperationCanceledException>(() => Simulation.Run(resumed, channels, options, new RunJournal(folder.Path)));
        Simulation.Run(resumed, Tiny.Channels(pool, 3, new RunJournal(folder.Path)), options, new RunJournal(folder.Path));
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));
    }

    [Fact]
    public void A_proximal_term_holds_clients_near_the_model_that_they_received()
    {
        double[] moved = [.. new[] { 0.0, 1, 3 }.Select(mu => Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2),
            Tiny.Options with { Rounds = 1, LocalSteps = 8, Training = Plain, Strategy = new FedProx(mu) })[0].Clients.Average(client => client.Norm))];
        Assert.True(moved[1] < 0.9 * moved[0] && moved[2] < 0.9 * moved[1], string.Join(", ", moved));
    }

    [Fact]
    public void One_client_under_scaffold_is_plain_training()
    {
        // c_i = c, so that the correction is always 0.
        FederatedOptions options = Tiny.Options with { Rounds = 3, Training = Plain, Codec = new IdentityCodec() };
        DecoderModel plain = Tiny.Model(), corrected = Tiny.Model();
        Simulation.Run(plain, Tiny.Channels(pool, 1), options);
        Simulation.Run(corrected, Tiny.Channels(pool, 1), options with { Strategy = new Scaffold() });
        Assert.All(Tiny.Numbers(plain).Zip(Tiny.Numbers(corrected)), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));
    }

    [Fact]
    public void Scaffold_sends_its_control_down_and_nothing_more_up()
    {
        FederatedOptions options = Tiny.Options with { Rounds = 2, Training = Plain };
        RoundRecord plain = Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2), options)[1], corrected = Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2), options with { Strategy = new Scaffold() })[1];
        Assert.InRange(corrected.BytesUp, plain.BytesUp - 20, plain.BytesUp + 20);
        Assert.InRange(corrected.BytesDown - plain.BytesDown, plain.Float32BytesDown, (long)(1.5 * plain.Float32BytesDown));
    }

    [Fact]
    public void Scaffold_wants_plain_steps()
    {
        FederatedOptions options = Tiny.Options with { Strategy = new Scaffold() };
        Assert.Contains("wanted Sgd", Assert.Throws<CoppiceException>(options.Validate).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Personal_tensors_stay_with_their_client_and_the_shared_model_keeps_its_own()
    {
        const string norm = "model.norm.weight", embedding = "model.embed_tokens.weight";
        using TemporaryFolder folder = new();
        RunJournal journal = new(folder.Path);
        DecoderModel model = Tiny.Model();
        int seen = 0;
        IClientChannel[] channels = [.. Tiny.Channels(pool, 2, journal).Select(channel => new Tapped(channel, (_, exchange) =>
        {
            ReadOnlyMemory<byte> update = exchange();
            WireFormat.Control(update, out ReadOnlyMemory<byte> tensors);
            using Coppice.Formats.SafeTensors sent = Coppice.Formats.SafeTensors.Read("sent", tensors);
            Assert.DoesNotContain(norm, sent.Names);
            Assert.DoesNotContain(sent.Names, name => name.StartsWith("model.embed", StringComparison.Ordinal));
            seen++;
            return update;
        }))];
        ParameterSet before = ParameterSet.Copy(model);
        Simulation.Run(model, channels, Tiny.Options with { Personal = [norm, "model.embed*"] }, journal);
        ParameterSet after = ParameterSet.Copy(model);

        Assert.Equal(6, seen);
        Assert.Equal(before.Tensors[norm].Data.ToArray(), after.Tensors[norm].Data.ToArray());
        Assert.Equal(before.Tensors[embedding].Data.ToArray(), after.Tensors[embedding].Data.ToArray());
        Assert.Contains(after.Tensors, part => !part.Value.Data.SequenceEqual(before.Tensors[part.Key].Data));
        float[][] own = [.. Enumerable.Range(0, 2).Select(i =>
        {
            using Coppice.Formats.SafeTensors state = Coppice.Formats.SafeTensors.Open(journal.ClientFile(Tiny.Name(i)));
            return state.ReadTensor("personal." + norm).Data.ToArray();
        })];
        Assert.NotEqual(own[0], own[1]);
        Assert.NotEqual(before.Tensors[norm].Data.ToArray(), own[0]);
    }

    [Theory]
    [InlineData("lm_head*", "no tensor is called 'lm_head*'")]
    [InlineData("*", "nothing to share")]
    public void Personal_names_that_cannot_be_are_refused(string name, string reason) =>
        Assert.Contains(reason, Assert.Throws<CoppiceException>(() => Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 1), Tiny.Options with { Personal = [name] })).Message, StringComparison.Ordinal);

    [Fact]
    public void In_a_run_without_rounds_answers_are_stale_and_the_same_seed_gives_the_same_bytes()
    {
        FederatedOptions options = Tiny.Options with { Rounds = 6, Strategy = new FedBuff(2), ClientsPerRound = 4, Dropout = 0.1 };
        float[][] results = [.. Enumerable.Range(0, 2).Select(_ =>
        {
            DecoderModel model = Tiny.Model();
            ImmutableArray<RoundRecord> rounds = Simulation.Run(model, Tiny.Channels(pool, 5), options);
            Assert.All(rounds, round => Assert.Equal(2, round.Clients.Length));
            // Four are under way at first, and one more for each that came.
            Assert.True(rounds[0].BytesDown > 1.5 * rounds[1].BytesDown);
            return Tiny.Numbers(model);
        })];
        Assert.Equal(results[0], results[1]);
        using TemporaryFolder folder = new();
        Assert.Contains("keeps no journal", Assert.Throws<CoppiceException>(() => Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 5), options, new RunJournal(folder.Path))).Message, StringComparison.Ordinal);
        Assert.Contains("none is asked twice", Assert.Throws<CoppiceException>(() => Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 5), options with { Strategy = new FedBuff(6) })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Votes_prune_the_shared_model()
    {
        DecoderModel model = Tiny.Model();
        Simulation.Run(model, Tiny.Channels(pool, 3), Tiny.Options with { Rounds = 1, Codec = new MaskCodec(0.5), Strategy = new MaskVote() });
        ParameterSet after = ParameterSet.Copy(model);
        foreach ((string name, Tensor tensor) in after.Tensors.Where(part => part.Value.Shape.Rank == 2))
            Assert.InRange(tensor.Data.ToArray().Count(value => value == 0) / (double)tensor.Shape.Length, 0.4, 0.6);
        Assert.Contains("wanted strategy maskvote", Assert.Throws<CoppiceException>((Tiny.Options with { Codec = new MaskCodec(0.5) }).Validate).Message, StringComparison.Ordinal);
    }
}
