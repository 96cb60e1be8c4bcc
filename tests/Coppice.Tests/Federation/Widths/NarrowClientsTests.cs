using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Privacy;
using Coppice.Federation.Robust;
using Coppice.Federation.Secure;
using Coppice.Federation.Strategies;
using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Training;

namespace Coppice.Tests.Federation.Widths;

public sealed class NarrowClientsTests : IDisposable
{
    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    [Fact]
    public void With_all_widths_1_the_run_is_plain_averaging_bit_for_bit()
    {
        DecoderModel plain = Wide.Model(), wide = Wide.Model();
        Simulation.Run(plain, Tiny.Channels(pool, 3), Tiny.Options);
        ImmutableArray<RoundRecord> rounds = Simulation.Run(wide, Tiny.Channels(pool, 3), Tiny.Options with { Widths = ClientWidths.Find("1") });
        Assert.Equal(Tiny.Numbers(plain), Tiny.Numbers(wide));
        Assert.All(rounds.SelectMany(round => round.Clients), client => Assert.Equal(1, client.Width));
    }

    [Fact]
    public void A_narrow_client_trains_its_part_as_the_ordinary_smaller_model_and_nothing_else_changes()
    {
        TrainingOptions training = Tiny.Training with { Steps = 6 };
        DecoderModel model = Wide.Model(), small = SubModel.Of(model, 0.5).Build(model);
        SubModel half = SubModel.Of(model, 0.5);
        ParameterSet before = ParameterSet.Copy(model);
        Trainer trainer = new(small, new TokenWindows(Tiny.Text(0), Tiny.Context, training.Seed), training, pool);
        for (int i = 0; i < 6; i++)
            trainer.Step();

        Simulation.Run(model, Tiny.Channels(pool, 1), Tiny.Options with { Widths = ClientWidths.Find("0.5"), Training = training, Codec = new IdentityCodec() });
        Assert.Equal(Tiny.Numbers(small), Tiny.Numbers(half.Build(model)));
        ParameterSet after = ParameterSet.Copy(model);
        const string up = "model.layers.0.mlp.up_proj.weight", output = "model.layers.1.self_attn.o_proj.weight";
        Assert.Equal(before.Tensors[up].Data[160..].ToArray(), after.Tensors[up].Data[160..].ToArray());
        Assert.NotEqual(before.Tensors[up].Data[..160].ToArray(), after.Tensors[up].Data[..160].ToArray());
        for (int row = 0; row < 16; row++)
            Assert.Equal(before.Tensors[output].Data.Slice(16 * row + 8, 8).ToArray(), after.Tensors[output].Data.Slice(16 * row + 8, 8).ToArray());
    }

    [Theory]
    [InlineData("fedavg", "int8")]
    [InlineData("fedprox:0.1", "topk:0.3")]
    [InlineData("fedadam:0.01", "int4")]
    public void Clients_of_three_widths_train_one_model_and_go_on_after_a_stop(string strategy, string codec)
    {
        FederatedOptions options = Tiny.Options with { Rounds = 6, LocalSteps = 3, Strategy = StrategyRegistry.Find(strategy), Codec = CodecRegistry.Find(codec), Widths = ClientWidths.Find("0.1,0.5,1") };
        DecoderModel undisturbed = Wide.Model(), resumed = Wide.Model();
        ImmutableArray<RoundRecord> rounds = Simulation.Run(undisturbed, Tiny.Channels(pool, 3), options);
        Assert.Equal([0.1, 0.5, 1], rounds[0].Clients.Select(client => client.Width).Order());
        Assert.True(rounds[^1].LossBefore < rounds[0].LossBefore - 0.1, $"{rounds[0].LossBefore} to {rounds[^1].LossBefore}");
        ClientRecord[] byWidth = [.. rounds[0].Clients.OrderBy(client => client.Width)];
        Assert.True(byWidth[0].BytesUp < byWidth[1].BytesUp && byWidth[1].BytesUp < byWidth[2].BytesUp);
        // Of 3 clients of all of it.
        Assert.InRange(rounds[0].Float32BytesDown, 4 * undisturbed.ParameterCount, 0.8 * 3 * 4 * undisturbed.ParameterCount);

        using TemporaryFolder folder = new();
        int left = 7;
        IClientChannel[] channels = [.. Tiny.Channels(pool, 3, new RunJournal(folder.Path)).Select(channel => new Tapped(channel, (_, exchange) => left-- == 0 ? throw new OperationCanceledException() : exchange()))];
        Assert.Throws<OperationCanceledException>(() => Simulation.Run(resumed, channels, options, new RunJournal(folder.Path)));
        ImmutableArray<RoundRecord> again = Simulation.Run(resumed, Tiny.Channels(pool, 3, new RunJournal(folder.Path)), options, new RunJournal(folder.Path));
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));
        Assert.Equal(rounds.Select(round => string.Join(' ', round.Clients.Select(client => client.Width))), again.Select(round => string.Join(' ', round.Clients.Select(client => client.Width))));
    }

    [Fact]
    public void An_update_of_another_width_is_refused_by_name()
    {
        FederatedOptions options = Tiny.Options with { Rounds = 1, Codec = new IdentityCodec(), Widths = ClientWidths.Find("client-0=0.5,1") };
        IClientChannel[] channels = Tiny.Channels(pool, 2);
        ReadOnlyMemory<byte> whole = default;
        Simulation.Run(Wide.Model(), [new Tapped(channels[0], (_, exchange) => whole = exchange()), channels[1]], options with { Widths = null });
        RoundRecord round = Simulation.Run(Wide.Model(), [new Tapped(channels[0], (_, _) => whole), Tiny.Channels(pool, 2)[1]], options)[0];
        Assert.Contains("client-0", Assert.Single(round.Dropped).Client, StringComparison.Ordinal);
        Assert.Single(round.Clients);
    }

    [Fact]
    public void Mixes_that_cannot_be_are_refused_with_the_reason()
    {
        FederatedOptions options = Tiny.Options with { Widths = ClientWidths.Find("0.5,1") };
        Refused("secure aggregation", options with { Secure = SecureOptions.Find("hadamard:4"), Codec = new IdentityCodec() });
        Refused("robust rule 'median'", options with { Robust = RobustRegistry.Find("median") });
        Refused("central noise", options with { Privacy = PrivacyOptions.Find("central:1:2") });
        Refused("strategy 'scaffold:1'", options with { Strategy = new Scaffold(), Training = Tiny.Training with { Optimizer = OptimizerKind.Sgd } });
        Refused("strategy 'maskvote:0.5'", options with { Strategy = new MaskVote(), Codec = new MaskCodec(0.5) });

        static void Refused(string reason, FederatedOptions options) => Assert.Contains($"clients of different widths, and {reason}", Assert.Throws<CoppiceException>(options.Validate).Message, StringComparison.Ordinal);
    }
}
