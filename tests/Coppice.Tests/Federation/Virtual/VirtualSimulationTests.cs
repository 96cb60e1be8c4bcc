using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Virtual;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;

namespace Coppice.Tests.Federation.Virtual;

public sealed class VirtualSimulationTests
{
    static readonly World Even = new() { SpeedSpread = 0, RateSpread = 0, Latency = 0, SecondsPerStep = 2, DownloadRate = 1e12, UploadRate = 1e12 };

    static readonly FederatedOptions Options = Tiny.Options with { FreshClients = true };

    static IClientChannel[] Channels(int count) => [.. Enumerable.Range(0, count).Select(i => new LocalChannel(new Client(Tiny.Name(i), Tiny.Text(i, 200 + 40 * i), new WorkerPool(1))))];

    static (float[] Numbers, ImmutableArray<RoundRecord> Rounds) Run(FederatedOptions options, World world, int clients = 4, int threads = 1, RunJournal? journal = null, IClientChannel[]? channels = null)
    {
        DecoderModel model = Tiny.Model();
        ImmutableArray<RoundRecord> rounds = VirtualSimulation.Run(model, channels ?? Channels(clients), options, world, threads, journal);
        return (Tiny.Numbers(model), rounds);
    }

    [Fact]
    public void Where_nobody_is_late_a_run_is_that_without_a_world()
    {
        DecoderModel plain = Tiny.Model();
        Simulation.Run(plain, Channels(4), Options);
        (float[] numbers, ImmutableArray<RoundRecord> rounds) = Run(Options, Even);
        Assert.Equal(Tiny.Numbers(plain), numbers);
        // Two steps of two seconds, and next to nothing for the network.
        Assert.All(rounds, round => Assert.Equal(4, round.Seconds, 1e-3));
    }

    [Fact]
    public void A_client_s_state_that_cannot_be_kept_ends_the_run()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["full"], "");
        IClientChannel[] channels = [.. Enumerable.Range(0, 3).Select(i => new LocalChannel(new Client(Tiny.Name(i), Tiny.Text(i), new WorkerPool(1), journal: i == 1 ? folder["full/state.safetensors"] : null)))];
        Assert.Contains("client 'client-1', its state: ", Assert.Throws<ClientStorageException>(() => Run(Options, Even, threads: 2, channels: channels)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void How_many_train_at_once_changes_nothing()
    {
        World world = new() { Dropout = 0.2, Corruption = 0.2, OverSelection = 0.5, Deadline = 30 };
        FederatedOptions options = Options with { ClientsPerRound = 4 };
        (float[] one, ImmutableArray<RoundRecord> first) = Run(options, world, 8);
        (float[] three, ImmutableArray<RoundRecord> second) = Run(options, world, 8, threads: 3);
        Assert.Equal(one, three);
        Assert.Equal(first.Select(Facts), second.Select(Facts));
        Assert.Contains(first, round => round.Dropped.Any(dropped => dropped.Reason.StartsWith("late", StringComparison.Ordinal)));
        Assert.Contains(first, round => round.Dropped.Any(dropped => dropped.Reason.StartsWith("damaged", StringComparison.Ordinal)));
        Assert.All(first, round => Assert.Equal(6, round.Clients.Length + round.Dropped.Length));
        Assert.All(first, round => Assert.InRange(round.Clients.Length, 1, 4));

        static (double, string, string) Facts(RoundRecord round) => (round.Seconds, string.Join(' ', round.Clients.Select(client => client.Client)), string.Join(' ', round.Dropped.Select(dropped => dropped.Client + dropped.Reason)));
    }

    [Fact]
    public void The_fastest_of_those_asked_are_taken_and_others_do_not_train()
    {
        int trained = 0;
        IClientChannel[] channels = [.. Channels(6).Select(channel => new Tapped(channel, (_, ask) => { trained++; return ask(); }))];
        World world = Even with { SpeedSpread = 2, OverSelection = 2 };
        (_, ImmutableArray<RoundRecord> rounds) = Run(Options with { Rounds = 1, ClientsPerRound = 2 }, world, channels: channels);
        Assert.Equal(2, rounds[0].Clients.Length);
        Assert.Equal(4, rounds[0].Dropped.Length);
        Assert.Equal(2, trained);
        double[] times = [.. Enumerable.Range(0, 6).Select(i => world.Trained(Options.Seed, Tiny.Name(i), 2, 0)).Order()];
        Assert.Equal(times[1], rounds[0].Seconds, 1e-3);
    }

    [Fact]
    public void A_deadline_is_moved_once_and_then_the_run_ends()
    {
        World slow = Even with { Deadline = 3, Minimum = 2 };
        Assert.Equal(4, Run(Options with { Rounds = 1 }, slow).Rounds[0].Seconds, 1e-3);
        string line = Assert.Throws<CoppiceException>(() => Run(Options, slow with { Deadline = 1 })).Message;
        Assert.Contains("Round 1: 0 updates after 2 s, wanted at least 2", line, StringComparison.Ordinal);
    }

    [Fact]
    public void Who_never_answers_is_waited_for_until_the_deadline()
    {
        (_, ImmutableArray<RoundRecord> rounds) = Run(Options with { Rounds = 6 }, Even with { Dropout = 0.3, Deadline = 50 });
        Assert.Contains(rounds, round => round.Dropped.Length > 0);
        Assert.All(rounds, round => Assert.Equal(round.Dropped.Length > 0 ? 50 : 4, round.Seconds, 1e-3));
    }

    [Fact]
    public void A_run_that_was_stopped_goes_on()
    {
        World world = new() { Dropout = 0.2, OverSelection = 0.5 };
        FederatedOptions options = Options with { ClientsPerRound = 3 };
        float[] undisturbed = Run(options, world, 6).Numbers;
        using TemporaryFolder folder = new();
        int left = 4;
        IClientChannel[] dying = [.. Channels(6).Select(channel => new Tapped(channel, (_, ask) => left-- > 0 ? ask() : throw new OperationCanceledException()))];
        Assert.ThrowsAny<Exception>(() => Run(options, world, journal: new RunJournal(folder["run"]), channels: dying));
        (float[] resumed, ImmutableArray<RoundRecord> rounds) = Run(options, world, 6, journal: new RunJournal(folder["run"]));
        Assert.Equal(undisturbed, resumed);
        Assert.Equal(3, rounds.Length);
    }

    [Fact]
    public void What_cannot_be_is_one_line()
    {
        Assert.Contains("corruption is 1, wanted", Fails(Options, Even with { Corruption = 1 }), StringComparison.Ordinal);
        Assert.Contains("neither fedbuff", Fails(Options with { Dropout = 0.1 }, Even), StringComparison.Ordinal);
        Assert.Contains("codec 'int8-feedback', for which they would have to", Fails(Options with { Codec = CodecRegistry.Find("int8-feedback") }, Even), StringComparison.Ordinal);
        Assert.Contains("4 clients, and a round has no result without 5", Fails(Options, Even with { Minimum = 5 }), StringComparison.Ordinal);

        static string Fails(FederatedOptions options, World world) => Assert.Throws<CoppiceException>(() => Run(options, world)).Message;
    }
}
