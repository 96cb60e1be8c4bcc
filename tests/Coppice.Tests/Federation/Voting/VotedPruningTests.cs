using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Robust;
using Coppice.Federation.Strategies;
using Coppice.Federation.Voting;
using Coppice.Federation.Widths;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Training;
using Coppice.Training.Sparse;
using Coppice.Weights;

namespace Coppice.Tests.Federation.Voting;

public sealed class VotedPruningTests : IDisposable
{
    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    static FederatedOptions Options(string prune, int rounds = 6, int steps = 2) =>
        Tiny.Options with { Rounds = rounds, LocalSteps = steps, Training = Tiny.Training with { Pruning = PruningRegistry.Find(prune) } };

    [Fact]
    public void One_client_that_prunes_gradually_is_plain_training_bit_for_bit()
    {
        TrainingOptions training = Tiny.Training with { Steps = 12, Pruning = new GradualMagnitude { Sparsity = 0.75, Every = 2, End = 0.5 } };
        DecoderModel plain = Tiny.Model(), federated = Tiny.Model();
        Trainer trainer = new(plain, new TokenWindows(Tiny.Text(0), Tiny.Context, training.Seed), training, pool);
        for (int i = 0; i < 12; i++)
            trainer.Step();
        trainer.Finish();

        Simulation.Run(federated, Tiny.Channels(pool, 1), Options("gradual:0.75:2:0.5") with { Codec = new IdentityCodec() });
        Assert.Equal(Tiny.Numbers(plain), Tiny.Numbers(federated));
        Assert.All(federated.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices), matrix => Assert.Equal(0.75, matrix.Weight.Sparsity(), 0.01));
    }

    [Theory]
    [InlineData("rigl:0.75:2:0.3", "int8")]
    [InlineData("rigl:0.75:2:0.3", "pq:4:16")]
    [InlineData("gradual:0.75:2", "topk:0.3")]
    public void Clients_vote_the_model_trains_and_a_run_that_was_stopped_goes_on_to_the_same_bytes(string prune, string codec)
    {
        FederatedOptions options = Options(prune, rounds: 8, steps: 2) with { Codec = CodecRegistry.Find(codec) };
        DecoderModel undisturbed = Tiny.Model(), resumed = Tiny.Model();
        ImmutableArray<RoundRecord> rounds = Simulation.Run(undisturbed, Tiny.Channels(pool, 3), options);
        Assert.True(rounds[^1].LossBefore < rounds[0].LossBefore - 0.05, $"{rounds[0].LossBefore} to {rounds[^1].LossBefore}");
        Assert.Equal(0.75, rounds[^1].Masks!.Sparsity, 0.01);
        Assert.Equal(prune.StartsWith("rigl", StringComparison.Ordinal), rounds[2].Masks!.Came > 0);
        Assert.True(rounds.Sum(round => round.Masks!.VoteBytes) > 0);
        // The last task holds a quarter of each matrix, the first all of it.
        Assert.InRange(rounds[^1].BytesDown, 0.3 * rounds[0].BytesDown, 0.65 * rounds[0].BytesDown);
        Assert.True(rounds[^1].BytesUp < 0.8 * rounds[0].BytesUp);
        Weight matrix = undisturbed.Blocks[0].Stages[^1].Matrices.First().Weight;
        Assert.Equal((typeof(SparseWeight), 0.75), (matrix.GetType(), Math.Round(matrix.Sparsity(), 2)));

        using TemporaryFolder folder = new();
        int left = 10;
        IClientChannel[] channels = [.. Tiny.Channels(pool, 3, new RunJournal(folder.Path)).Select(channel => new Tapped(channel, (_, exchange) => left-- == 0 ? throw new OperationCanceledException() : exchange()))];
        Assert.Throws<OperationCanceledException>(() => Simulation.Run(resumed, channels, options, new RunJournal(folder.Path)));
        Simulation.Run(resumed, Tiny.Channels(pool, 3, new RunJournal(folder.Path)), options, new RunJournal(folder.Path));
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));
    }

    [Fact]
    public void What_no_mask_keeps_is_not_sent_and_votes_are_bits_and_places_alone()
    {
        long votes = 0;
        int round = 0;
        IClientChannel[] channels = [.. Tiny.Channels(pool, 2).Select(channel => new Tapped(channel, (task, exchange) =>
        {
            WireFormat.Control(task, out ReadOnlyMemory<byte> down);
            using SafeTensors sent = SafeTensors.Read("task", down);
            TensorEntry matrix = sent.Find("model.layers.0.mlp.up_proj.weight");
            Assert.Equal(round / 2 == 0 ? 24 * 16 : 24 * 16 / 4, Assert.Single(matrix.Shape));
            ReadOnlyMemory<byte> update = exchange();
            WireFormat.Control(update, out ReadOnlyMemory<byte> up);
            using SafeTensors answer = SafeTensors.Read("update", up);
            bool isAsked = round++ / 2 is 0 or 1;
            Assert.Equal(isAsked, answer.Names.Contains("votes"));
            votes += isAsked ? answer.Find("votes").ByteCount : 0;
            return update;
        }))];
        ImmutableArray<RoundRecord> rounds = Simulation.Run(Tiny.Model(), channels, Options("rigl:0.75:4:0.3", rounds: 4));
        Assert.Equal(votes, rounds.Sum(record => record.Masks!.VoteBytes));
        Assert.Equal((0, 0), (rounds[2].Masks!.Went, rounds[2].Masks!.Came));
        Assert.Equal(rounds[1].Masks!.Went, rounds[1].Masks!.Came);
    }

    [Fact]
    public void A_client_without_its_vote_is_left_out_of_the_round()
    {
        IClientChannel[] channels = Tiny.Channels(pool, 2);
        channels[1] = new Tapped(channels[1], (_, exchange) =>
        {
            ReadOnlyMemory<byte> update = exchange();
            string control = WireFormat.Control(update, out ReadOnlyMemory<byte> tensors).ToJsonString();
            using SafeTensors answer = SafeTensors.Read("update", tensors);
            return WireFormat.Message(control, SafeTensorsWriter.ToBytes([.. answer.Entries.Values.Where(entry => entry.Name != "votes").Select(TensorSource.Copy)]));
        });
        ImmutableArray<RoundRecord> rounds = Simulation.Run(Tiny.Model(), channels, Options("gradual:0.5:2", rounds: 2));
        Assert.Contains("'votes'", Assert.Single(rounds[0].Dropped).Reason, StringComparison.Ordinal);
        Assert.Equal(0.5, rounds[^1].Masks!.Sparsity, 0.01);
    }

    [Fact]
    public void Mixes_that_cannot_be_are_refused_with_the_reason()
    {
        FederatedOptions options = Options("rigl:0.5");
        Refused("robust rule 'median'", options with { Robust = RobustRegistry.Find("median") });
        Refused("codec 'powersgd:4'", options with { Codec = new PowerSgdCodec() });
        Refused("clients of different widths", options with { Widths = ClientWidths.Find("0.5,1") });
        Refused("personal tensors", options with { Personal = ["model.norm.weight"] });
        Refused("strategy 'fedbuff:3:1'", options with { Strategy = new FedBuff(3) });
        Assert.Contains("(movement) would each prune other numbers; wanted rigl or gradual", Assert.Throws<CoppiceException>((options with { Training = Tiny.Training with { Pruning = new Movement() } }).Validate).Message, StringComparison.Ordinal);
        Assert.Contains("'l1:0.5' is none of rigl", Assert.Throws<CoppiceException>(() => PruningRegistry.Find("l1:0.5")).Message, StringComparison.Ordinal);

        static void Refused(string reason, FederatedOptions options) => Assert.Contains($"masks that clients vote on, and {reason}", Assert.Throws<CoppiceException>(options.Validate).Message, StringComparison.Ordinal);
    }
}
