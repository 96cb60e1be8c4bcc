using System.Collections.Concurrent;
using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Secure;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Federation;

namespace Coppice.Server.Tests.Http;

/// <summary>Secure aggregation over a network gives what the simulation gives, whoever is gone at which step, and what cannot be is tried again with new keys, or lost, but never summed twice.</summary>
public sealed class SecureOverHttpTests : IDisposable
{
    const int Count = 5;

    // Four of five have to stay.
    static readonly FederatedOptions Options = Tiny.Options with { Rounds = 2, Codec = new IdentityCodec(), Secure = new SecureOptions { Clip = 4, MaxWeight = 256 } };

    static readonly string[] Steps = [SecureSetup.CurrentFormat, RosterMessage.CurrentFormat, Deliveries.CurrentFormat, SurvivorList.CurrentFormat, SignatureList.CurrentFormat];

    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    static async Task<(ImmutableArray<RoundRecord> Records, float[] Numbers)> Run(Live live, FederatedOptions options, Meddler? server = null, ISigners? signers = null)
    {
        DecoderModel model = Tiny.Model();
        RunJournal journal = new(live["driven"]);
        ImmutableArray<RoundRecord> records = await Task.Run(() => Simulation.Run(model, live.Channels(server), options, live.Hosting(signers), journal)).WaitAsync(Live.Patience);
        return (records, Tiny.Numbers(model));
    }

    (ImmutableArray<RoundRecord> Records, float[] Numbers) Simulate(FederatedOptions options, Meddler? client = null)
    {
        DecoderModel model = Tiny.Model();
        IReadOnlyList<SecureChannel> channels = SecureChannel.ForAll([.. Enumerable.Range(0, Count).Select(i => new Client(Tiny.Name(i), Tiny.Text(i, 200 + 40 * i), pool))]);
        return (Simulation.Run(model, client is null ? channels : [.. channels.Select(channel => new Meddling(channel, client))], options), Tiny.Numbers(model));
    }

    // A client that fails at a step, of its own accord.
    static Meddler Failing(string at, params string[] clients) => (client, format, asked, send) =>
        format == at && clients.Contains(client) ? throw new CoppiceException("had enough") : send(asked);

    [Fact]
    public async Task A_run_equals_the_simulation_bit_for_bit()
    {
        await using Live live = await Live.Start(Count);
        live.JoinAll();
        (ImmutableArray<RoundRecord> records, float[] numbers) = await Run(live, Options);
        Assert.All(await live.End(), answered => Assert.Equal(2 * 5, answered));

        (ImmutableArray<RoundRecord> simulated, float[] expected) = Simulate(Options);
        Assert.NotEqual(Tiny.Numbers(Tiny.Model()), expected);
        Assert.Equal(expected, numbers);
        Assert.Equal(simulated.Select(Facts), records.Select(Facts));
        Assert.All(records, record => Assert.All(record.Clients, client => Assert.True(client.Samples == 0 && double.IsNaN(client.LossAfter))));
        Assert.Empty(live.Noted);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_client_that_is_gone_at_a_step_is_in_the_sum_or_not_as_in_the_simulation(int step)
    {
        FederatedOptions options = Options with { Rounds = 1 };
        Meddler gone = Failing(Steps[step - 1], Tiny.Name(2));
        await using Live live = await Live.Start(Count);
        live.JoinAll(gone);
        (ImmutableArray<RoundRecord> records, float[] numbers) = await Run(live, options);
        await live.End();

        (ImmutableArray<RoundRecord> simulated, float[] expected) = Simulate(options, gone);
        Assert.Equal(expected, numbers);
        Assert.Equal(simulated.Select(Facts), records.Select(Facts));
        Assert.Equal(step < 4 ? Count - 1 : Count, records[0].Clients.Length);
        Assert.Equal($"round 1, attempt 1: step {step}: '{Tiny.Name(2)}' failed: had enough", Assert.Single(live.Noted));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public async Task An_attempt_with_too_many_gone_is_followed_by_one_with_new_keys(int step)
    {
        FederatedOptions options = Options with { Rounds = 1 };
        ConcurrentBag<string> attempts = [], keys = [];
        ConcurrentDictionary<string, bool> failed = new(StringComparer.Ordinal);
        await using Live live = await Live.Start(Count);
        live.JoinAll((client, format, asked, send) =>
        {
            if (format == Steps[step - 1] && client is "client-1" or "client-4" && failed.TryAdd(client, true))
                throw new CoppiceException("had enough");
            ReadOnlyMemory<byte> answer = send(asked);
            if (Message.FormatOf("answer", answer) == KeyAdvert.CurrentFormat && Message.Read("answer", answer, FederationJson.Default.KeyAdvert, out _) is var advert)
            {
                attempts.Add(advert.Attempt);
                keys.Add(Convert.ToHexString(advert.MaskKey));
                keys.Add(Convert.ToHexString(advert.SealKey));
            }
            return answer;
        });
        (ImmutableArray<RoundRecord> records, float[] numbers) = await Run(live, options);
        await live.End();

        Assert.Equal(Simulate(options).Numbers, numbers);
        Assert.Equal(Count, records[0].Clients.Length);
        Assert.Empty(records[0].Dropped);
        Assert.Equal(2, attempts.Distinct().Count());
        Assert.Equal(2 * attempts.Count, keys.Distinct().Count());
        Assert.Equal(3, live.Noted.Length);
        Assert.Matches("^round 1, attempt 1: [Ss]ecure aggregation: .*wanted ", live.Noted[^1]);
    }

    [Fact]
    public async Task Too_many_gone_in_every_attempt_end_the_run_in_one_line_and_the_same_command_goes_on()
    {
        bool isWell = false;
        await using Live live = await Live.Start(Count);
        live.JoinAll((client, format, asked, send) => !isWell && format == Deliveries.CurrentFormat && client is "client-0" or "client-3" ? throw new CoppiceException("had enough") : send(asked));
        string line = (await Assert.ThrowsAsync<CoppiceException>(() => Run(live, Options))).Message;
        Assert.Equal("Round 1: secure aggregation: 3 of 5 clients have sent masked numbers, wanted 4 or more; no update is revealed: 'client-0' failed: had enough; 'client-3' failed: had enough", line);
        Assert.Contains(live.Noted, entry => entry.StartsWith("round 1, attempt 3: secure aggregation: 3 of 5", StringComparison.Ordinal));
        isWell = true;
        Assert.Equal(Simulate(Options).Numbers, (await Run(live, Options)).Numbers);
        await live.End();
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_round_that_fails_after_survivors_were_signed_is_lost_and_the_next_one_is_not(int step)
    {
        await using Live live = await Live.Start(Count);
        int left = 2;
        live.JoinAll((client, format, asked, send) => format == Steps[step - 1] && Interlocked.Decrement(ref left) >= 0 ? throw new CoppiceException("had enough") : send(asked));
        (ImmutableArray<RoundRecord> records, _) = await Run(live, Options);
        await live.End();
        Assert.Contains("no update is revealed", records[0].Lost!, StringComparison.Ordinal);
        Assert.Equal((0, 2), (records[0].Clients.Length, records[0].Dropped.Length));
        Assert.Equal((null, Count), (records[1].Lost, records[1].Clients.Length));
        // The model did not move: it is as good on the clients' windows as at the start.
        Assert.Equal(Simulate(Options).Records[0].LossBefore, records[1].LossBefore, 1e-3);
        Assert.DoesNotContain(live.Noted, entry => entry.Contains("attempt 2", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_server_that_dies_before_survivors_are_signed_begins_again_with_new_keys(int step)
    {
        await using Live live = await Live.Start(Count);
        live.JoinAll();
        await Assert.ThrowsAsync<InvalidOperationException>(() => Run(live, Options, Dying(step)));
        (ImmutableArray<RoundRecord> records, float[] numbers) = await Run(live, Options);
        await live.End();
        Assert.Equal(Simulate(Options).Numbers, numbers);
        Assert.All(records, record => Assert.Null(record.Lost));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_server_that_dies_after_survivors_were_signed_never_asks_for_that_sum_again(int step)
    {
        await using Live live = await Live.Start(Count);
        live.JoinAll();
        await Assert.ThrowsAsync<InvalidOperationException>(() => Run(live, Options, Dying(step)));
        (ImmutableArray<RoundRecord> records, _) = await Run(live, Options);
        await live.End();
        Assert.Contains("after survivors had been signed", records[0].Lost!, StringComparison.Ordinal);
        Assert.Equal((null, Count), (records[1].Lost, records[1].Clients.Length));
    }

    [Fact]
    public async Task Clients_refuse_another_attempt_at_a_round_that_they_signed_whatever_the_server_has_forgotten()
    {
        await using Live live = await Live.Start(Count);
        live.JoinAll();
        await Assert.ThrowsAsync<InvalidOperationException>(() => Run(live, Options, Dying(5)));
        File.Delete(live["driven/signed.json"]);
        Assert.Contains("'client-0' failed: attempt ", (await Assert.ThrowsAsync<CoppiceException>(() => Run(live, Options))).Message, StringComparison.Ordinal);
        Assert.Equal(3 * Count, live.Noted.Count(entry => entry.Contains("a second one over other clients would give updates away", StringComparison.Ordinal)));
        await live.End();
    }

    // At the second client's question, when the first has answered.
    static Meddler Dying(int step) => (client, format, asked, send) => client == "client-1" && format == Steps[step - 1] ? throw new InvalidOperationException("died here, as the test wanted") : send(asked);

    static string Facts(RoundRecord record) => $"{record.Round}: {string.Join(' ', record.Clients.Select(client => client.Client))}; {string.Join(' ', record.Dropped.Select(dropped => dropped.Client))}; {record.LossBefore:R} {record.LossAfter:R} {record.Secure} {record.Lost}";
}
