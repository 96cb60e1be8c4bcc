using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Strategies;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Training;

namespace Coppice.Tests.Federation;

public sealed class SimulationTests : IDisposable
{
    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    [Theory]
    [InlineData(OptimizerKind.AdamW)]
    [InlineData(OptimizerKind.Sgd)]
    public void One_client_with_the_identity_codec_is_plain_training_bit_for_bit(OptimizerKind optimizer)
    {
        TrainingOptions training = Tiny.Training with { Optimizer = optimizer, Steps = 12 };
        DecoderModel plain = Tiny.Model(), federated = Tiny.Model();
        Trainer trainer = new(plain, new TokenWindows(Tiny.Text(0), Tiny.Context, training.Seed), training, pool);
        for (int i = 0; i < 12; i++)
            trainer.Step();

        Simulation.Run(federated, Tiny.Channels(pool, 1), Tiny.Options with { Rounds = 4, LocalSteps = 3, Training = training, Codec = new IdentityCodec() });

        Assert.NotEqual(Tiny.Numbers(Tiny.Model()), Tiny.Numbers(federated));
        Assert.Equal(Tiny.Numbers(plain), Tiny.Numbers(federated));
    }

    [Fact]
    public void Equal_clients_taking_one_plain_step_equal_the_large_batch_step()
    {
        const int clients = 3;
        const double rate = 0.5;
        TrainingOptions training = Tiny.Training with { Optimizer = OptimizerKind.Sgd, LearningRate = rate, WarmupSteps = 0, FinalRateShare = 1, GradientClip = 0 };
        DecoderModel large = Tiny.Model(), federated = Tiny.Model();
        ForwardContext context = new(pool, new Tape());
        Sgd sgd = new(Parameter.Of(large));
        int[] targets = new int[training.TokensPerStep];
        Batch batch = new();
        for (int i = 0; i < clients; i++)
        {
            new TokenWindows(Tiny.Text(i), Tiny.Context, training.Seed).Fill(0, training.BatchSize, batch, targets);
            context.Tape!.Backward(CrossEntropy.Apply(context, large.Forward(batch, context), targets, clients * targets.Length));
            context.Reset();
        }
        sgd.Step(pool, rate, 1, training);

        IClientChannel[] channels = [.. Enumerable.Range(0, clients).Select(i => new LocalChannel(new Client(Tiny.Name(i), Tiny.Text(i), pool)))];
        Simulation.Run(federated, channels, Tiny.Options with { Rounds = 1, LocalSteps = 1, Training = training, Codec = new IdentityCodec() });

        float[] expected = Tiny.Numbers(large), found = Tiny.Numbers(federated), before = Tiny.Numbers(Tiny.Model());
        Assert.True(expected.Zip(before, (a, b) => Math.Abs(a - b)).Max() > 1e-3);
        Assert.All(expected.Zip(found), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 1e-5));
    }

    [Theory]
    [InlineData("int8")]
    [InlineData("int8-feedback")]
    [InlineData("float16")]
    public void Every_codec_trains_clients_of_different_text_nearly_as_well_as_identity(string codec)
    {
        FederatedOptions options = Tiny.Options with { Rounds = 6, LocalSteps = 4 };
        ImmutableArray<RoundRecord> exact = Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 3), options with { Codec = new IdentityCodec() });
        ImmutableArray<RoundRecord> coded = Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 3), options with { Codec = CodecRegistry.Find(codec) });

        Assert.True(exact[^1].LossBefore < exact[0].LossBefore - 0.2, $"{exact[0].LossBefore} to {exact[^1].LossBefore}");
        Assert.InRange(coded[^1].LossBefore, exact[^1].LossBefore - 0.02, exact[^1].LossBefore + 0.02);
        Assert.All(coded, round => Assert.True(round.BytesUp < (codec == "float16" ? 0.8 : 0.6) * exact[0].BytesUp));
    }

    [Fact]
    public void The_order_in_which_clients_are_listed_and_answer_changes_nothing()
    {
        DecoderModel forward = Tiny.Model(), backward = Tiny.Model();
        Simulation.Run(forward, Tiny.Channels(pool, 4), Tiny.Options with { ClientsPerRound = 3 });
        Simulation.Run(backward, [.. Tiny.Channels(pool, 4).Reverse()], Tiny.Options with { ClientsPerRound = 3 });
        Assert.Equal(Tiny.Numbers(forward), Tiny.Numbers(backward));
    }

    [Fact]
    public void A_seed_decides_the_result()
    {
        float[][] results = [.. new[] { 9, 9, 10 }.Select(seed =>
        {
            DecoderModel model = Tiny.Model();
            Simulation.Run(model, Tiny.Channels(pool, 4), Tiny.Options with { Seed = seed, ClientsPerRound = 3, Dropout = 0.2, Rounds = 4 });
            return Tiny.Numbers(model);
        })];
        Assert.Equal(results[0], results[1]);
        Assert.NotEqual(results[0], results[2]);
    }

    [Theory]
    [InlineData(DownloadFormat.Float32)]
    [InlineData(DownloadFormat.Float16)]
    public void Every_byte_of_every_message_is_counted(DownloadFormat download)
    {
        long up = 0, down = 0;
        IClientChannel[] channels = [.. Tiny.Channels(pool, 3).Select(channel => new Tapped(channel, (task, exchange) =>
        {
            down += task.Length;
            ReadOnlyMemory<byte> update = exchange();
            up += update.Length;
            return update;
        }))];
        DecoderModel model = Tiny.Model();
        ImmutableArray<RoundRecord> rounds = Simulation.Run(model, channels, Tiny.Options with { Download = download });

        Assert.Equal(up, rounds.Sum(round => round.BytesUp));
        Assert.Equal(down, rounds.Sum(round => round.BytesDown));
        Assert.Equal(up, rounds.Sum(round => round.Clients.Sum(client => client.BytesUp)));
        Assert.Equal(3 * 3 * 4 * model.ParameterCount, rounds.Sum(round => round.Float32BytesDown));
        Assert.Equal(download == DownloadFormat.Float16, down < 0.8 * rounds.Sum(round => round.Float32BytesDown));
    }

    [Fact]
    public void A_dropped_client_is_reported_and_the_round_goes_on()
    {
        ImmutableArray<RoundRecord> rounds = Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 4), Tiny.Options with { Dropout = 0.4, Rounds = 6, LocalSteps = 1 });
        Assert.Contains(rounds, round => round.Dropped.Length > 0);
        Assert.Contains(rounds, round => round.Dropped.Length == 0 || round.Clients.Length > 1);
        Assert.All(rounds, round => Assert.Equal(4, round.Clients.Length + round.Dropped.Length));
        Assert.All(rounds.Where(round => round.Dropped.Length > 0), round => Assert.True(round.BytesDown > 3 * round.Float32BytesDown / 4));
    }

    [Fact]
    public void A_round_without_any_survivor_is_one_clear_error()
    {
        CoppiceException error = Assert.Throws<CoppiceException>(() => Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2), Tiny.Options with { Dropout = 0.999999 }));
        Assert.Contains("Round 1: no update from any of its 2 clients", error.Message, StringComparison.Ordinal);
        Assert.Contains("'client-1' did not answer", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_that_fails_is_dropped_with_its_reason()
    {
        IClientChannel broken = new LocalChannel(new Client("broken", [1, 2, 3], pool));
        IClientChannel foreign = new LocalChannel(new Client("foreign", [.. Enumerable.Repeat(Tiny.Vocabulary, 100)], pool));
        RoundRecord round = Simulation.Run(Tiny.Model(), [.. Tiny.Channels(pool, 1), broken, foreign], Tiny.Options)[0];
        Assert.Equal(["broken", "foreign"], round.Dropped.Select(client => client.Client));
        Assert.Contains("3 tokens", round.Dropped[0].Reason, StringComparison.Ordinal);
        Assert.Contains("token id 32, the model's vocabulary 32", round.Dropped[1].Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("int8", 0)]
    [InlineData("int8", 1)]
    [InlineData("int8", 4)]
    [InlineData("int8-feedback", 5)]
    [InlineData("identity", 7)]
    public void Killed_after_any_exchange_and_run_again_it_ends_with_the_same_bytes(string codec, int exchanges)
    {
        FederatedOptions options = Tiny.Options with { Codec = CodecRegistry.Find(codec), ClientsPerRound = 3, Rounds = 4 };
        DecoderModel undisturbed = Tiny.Model(), resumed = Tiny.Model();
        Simulation.Run(undisturbed, Tiny.Channels(pool, 4), options);

        using TemporaryFolder folder = new();
        int left = exchanges, trained = 0;
        // The client's answer is made, and its state committed, but the server never sees it.
        Assert.Throws<OperationCanceledException>(() => Simulation.Run(resumed, Watched(() =>
        {
            if (left-- == 0)
                throw new OperationCanceledException();
        }), options, new RunJournal(folder.Path)));
        ImmutableArray<RoundRecord> rounds = Simulation.Run(resumed, Watched(() => trained++), options, new RunJournal(folder.Path));

        Assert.Equal(4, rounds.Length);
        Assert.Equal(4 * 3 - 3 * (exchanges / 3), trained);
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));

        IClientChannel[] Watched(Action after) => [.. Tiny.Channels(pool, 4, new RunJournal(folder.Path)).Select(channel => new Tapped(channel, (_, exchange) =>
        {
            ReadOnlyMemory<byte> update = exchange();
            after();
            return update;
        }))];
    }

    [Fact]
    public void Cancelled_between_local_steps_and_run_again_it_ends_with_the_same_bytes()
    {
        DecoderModel undisturbed = Tiny.Model(), resumed = Tiny.Model();
        Simulation.Run(undisturbed, Tiny.Channels(pool, 2), Tiny.Options);

        using TemporaryFolder folder = new();
        RunJournal journal = new(folder.Path);
        using CancellationTokenSource cancel = new();
        IClientChannel[] channels = [.. Tiny.Channels(pool, 2, journal).Select((channel, i) => new Tapped(channel, (_, exchange) =>
        {
            if (i == 1)
                cancel.Cancel();
            return exchange();
        }))];
        Assert.Throws<OperationCanceledException>(() => Simulation.Run(resumed, channels, Tiny.Options, journal, cancel: cancel.Token));
        Simulation.Run(resumed, Tiny.Channels(pool, 2, journal), Tiny.Options, journal);
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));
    }

    [Fact]
    public void A_client_s_state_that_cannot_be_kept_ends_the_run_which_goes_on_from_the_last_closed_round()
    {
        DecoderModel undisturbed = Tiny.Model(), resumed = Tiny.Model();
        Simulation.Run(undisturbed, Tiny.Channels(pool, 3), Tiny.Options);

        using TemporaryFolder folder = new();
        RunJournal journal = new(folder.Path);
        string inTheWay = journal.ClientFile(Tiny.Name(1)) + ".partial";
        int asked = 0;
        IClientChannel[] channels = [.. Tiny.Channels(pool, 3, journal).Select((channel, i) => new Tapped(channel, (_, exchange) =>
        {
            if (i == 1 && ++asked == 2)
                Directory.CreateDirectory(inTheWay);
            return exchange();
        }))];
        ClientStorageException error = Assert.Throws<ClientStorageException>(() => Simulation.Run(resumed, channels, Tiny.Options, journal));
        Assert.Contains("client 'client-1', its state: ", error.Message, StringComparison.Ordinal);
        Assert.Contains("could not be written", error.Message, StringComparison.Ordinal);
        Assert.Single(RunJournal.ReadRecords(folder.Path)!);

        Directory.Delete(inTheWay);
        Simulation.Run(resumed, Tiny.Channels(pool, 3, journal), Tiny.Options, journal);
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));
    }

    [Fact]
    public void Killed_between_the_records_and_the_model_it_ends_with_the_same_bytes()
    {
        using TemporaryFolder folder = new();
        DecoderModel undisturbed = Tiny.Model(), resumed = Tiny.Model();
        byte[]? second = null;
        Progress after = new(record => second = record.Round == 2 ? File.ReadAllBytes(folder["run.safetensors"]) : second);
        Simulation.Run(undisturbed, Tiny.Channels(pool, 2, new RunJournal(folder.Path)), Tiny.Options, new RunJournal(folder.Path), after);
        File.WriteAllBytes(folder["run.safetensors"], second!);

        ImmutableArray<RoundRecord> rounds = Simulation.Run(resumed, Tiny.Channels(pool, 2, new RunJournal(folder.Path)), Tiny.Options, new RunJournal(folder.Path));
        Assert.Equal([1, 2, 3], rounds.Select(round => round.Round));
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));
    }

    [Fact]
    public void A_folder_of_another_run_is_refused()
    {
        using TemporaryFolder folder = new();
        RunJournal journal = new(folder.Path);
        Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2, journal), Tiny.Options, journal);
        CoppiceException error = Assert.Throws<CoppiceException>(() => Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 2, journal), Tiny.Options with { Seed = 4 }, journal));
        Assert.Contains("holds another run", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_may_not_be_sent_back_after_a_rounded_download()
    {
        FederatedOptions options = Tiny.Options with { Codec = new IdentityCodec(), Download = DownloadFormat.Float16 };
        Assert.Contains("sends weights", Assert.Throws<CoppiceException>(() => Simulation.Run(Tiny.Model(), Tiny.Channels(pool, 1), options)).Message, StringComparison.Ordinal);
    }

    sealed class Progress(Action<RoundRecord> report) : IProgress<RoundRecord>
    {
        public void Report(RoundRecord value) => report(value);
    }
}
