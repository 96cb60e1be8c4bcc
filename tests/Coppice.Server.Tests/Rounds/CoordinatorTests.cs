using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Remote;
using Coppice.Models;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Federation;

namespace Coppice.Server.Tests.Rounds;

public sealed class CoordinatorTests : IDisposable
{
    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    static RunSettings Settings(string codec = "int8", long slice = 4 << 20) => new(Tiny.Options with { Codec = CodecRegistry.Find(codec) }) { SliceBytes = slice };

    (string Client, Func<byte[], ReadOnlyMemory<byte>> Answer)[] Clients(int count = 3) => [.. Enumerable.Range(0, count).Select(i =>
    {
        Client client = new(Tiny.Name(i), Tiny.Text(i, 200 + 40 * i), pool);
        return (client.Id, (Func<byte[], ReadOnlyMemory<byte>>)(task => client.Answer(task)));
    })];

    [Theory]
    [InlineData("int8", 4 << 20)]
    [InlineData("int8", 1)]
    [InlineData("int8-feedback", 3000)]
    [InlineData("float16", 2000)]
    [InlineData("identity", 1)]
    public void A_run_equals_the_simulation_bit_for_bit_whatever_the_slices(string codec, long slice)
    {
        using RunFolder folder = new(Settings(codec, slice));
        Coordinator coordinator = folder.Open();
        Assert.Equal(RunState.Done, folder.Drive(coordinator, Clients()).State);

        DecoderModel simulated = Tiny.Model();
        RoundRecord[] records = [.. Simulation.Run(simulated, Tiny.Channels(pool, 3), folder.Settings.Federation)];
        Assert.NotEqual(Tiny.Numbers(Tiny.Model()), Tiny.Numbers(simulated));
        Assert.Equal(Tiny.Numbers(simulated), RunFolder.Numbers(coordinator));
        Assert.Equal(records.SelectMany(record => record.Clients.Select(client => (client.Client, client.Samples, client.LossBefore, client.LossAfter, client.Norm))),
            folder.Store.Rounds(coordinator.Run.Id).SelectMany(round => folder.Store.Survivors(round.Id)).Select(part => (part.Client, part.Update.Samples, part.Update.LossBefore, part.Update.LossAfter, part.Update.Norm)));
    }

    [Fact]
    public void A_rounded_download_and_a_draw_of_clients_equal_the_simulation_too()
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options with { Download = DownloadFormat.Float16, ClientsPerRound = 2, Rounds = 4 }), clients: 4);
        Coordinator coordinator = folder.Open();
        folder.Drive(coordinator, Clients(4));
        DecoderModel simulated = Tiny.Model();
        Simulation.Run(simulated, Tiny.Channels(pool, 4), folder.Settings.Federation);
        Assert.Equal(Tiny.Numbers(simulated), RunFolder.Numbers(coordinator));
    }

    [Fact]
    public void More_clients_are_asked_than_wanted_and_the_last_is_late()
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options with { ClientsPerRound = 2, Rounds = 1 }) { OverSelection = 0.5 });
        Coordinator coordinator = folder.Open();
        AssignmentInfo last = coordinator.Take("client-2")!;
        byte[] task = RunFolder.Task(coordinator, "client-2", last.Id);
        folder.Drive(coordinator, Clients());
        AnswerRow[] answers = [.. folder.Store.Answers(coordinator.Current.Id)];
        Assert.Equal([AssignmentState.Received, AssignmentState.Received, AssignmentState.Late], answers.Select(answer => answer.Assignment.State));

        float[] before = RunFolder.Numbers(coordinator);
        ReadOnlyMemory<byte> update = Clients()[2].Answer(task);
        RefusedException late = Assert.Throws<RefusedException>(() => coordinator.Append("client-2", last.Id, 0, update.Span));
        Assert.Equal(410, late.Status);
        Assert.Equal(410, Assert.Throws<RefusedException>(() => coordinator.Commit("client-2", last.Id, update.Length, RunFolder.Hash(update.Span))).Status);
        Assert.Contains(folder.Store.Events(20), entry => entry.Kind == "late");
        Assert.Equal(before, RunFolder.Numbers(coordinator));
    }

    [Fact]
    public void A_client_that_does_not_answer_is_left_out_at_the_deadline()
    {
        using RunFolder folder = new(Settings() with { Minimum = 2 });
        Coordinator coordinator = folder.Open();
        Assert.Equal(RunState.Done, folder.Drive(coordinator, Clients()[..2]).State);
        Assert.All(folder.Store.Rounds(coordinator.Run.Id), round => Assert.Equal(["client-0", "client-1"], folder.Store.Survivors(round.Id).Select(part => part.Client)));
    }

    [Fact]
    public void A_client_that_says_that_it_failed_is_not_waited_for()
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options with { Rounds = 1 }));
        Coordinator coordinator = folder.Open();
        DateTimeOffset begun = folder.Time.Now;
        long id = coordinator.Take("client-2")!.Id, other = coordinator.Take("client-0")!.Id;
        coordinator.Append("client-2", id, 0, [1, 2, 3]);
        Assert.Equal(403, Status(() => coordinator.Fail("client-0", id, "not mine")));
        coordinator.Fail("client-2", id, "the loss is NaN");
        coordinator.Fail("client-2", id, "once more");
        Assert.Null(coordinator.Take("client-2"));
        Assert.Equal(422, Status(() => coordinator.Append("client-2", id, 3, [4])));
        Assert.Equal(422, Status(() => coordinator.Commit("client-2", id, 3, RunFolder.Hash([1, 2, 3]))));
        Assert.False(File.Exists(folder[$"uploads/{id}"]));

        (string Client, Func<byte[], ReadOnlyMemory<byte>> Answer)[] clients = Clients();
        RunFolder.Send(coordinator, "client-0", other, clients[0].Answer(RunFolder.Task(coordinator, "client-0", other)).Span);
        Assert.Equal(409, Status(() => coordinator.Fail("client-0", other, "after all")));
        Assert.Equal(RunState.Done, folder.Drive(coordinator, clients[..2]).State);
        Assert.Equal(begun, folder.Time.Now);
        Assert.Equal(410, Status(() => coordinator.Take("client-2")));

        RoundExplanation explained = RoundExplanation.Of(folder.Store, new BlobStore(folder["blobs"]), coordinator.Run, coordinator.Current, default);
        Assert.Equal([AssignmentState.Received, AssignmentState.Received, AssignmentState.Failed], explained.Clients.Select(client => client.Answer.Assignment.State));
        Assert.Equal("update of client 'client-2' in round 1: the client failed: the loss is NaN", explained.Clients[2].Answer.Assignment.Reason);
        Assert.Equal("client-2", Assert.Single(coordinator.Record(coordinator.Current).Dropped).Client);
        Assert.Contains(folder.Store.Events(50), entry => entry is { Kind: "failed", Text: var text } && text.Contains("the loss is NaN", StringComparison.Ordinal));

        static int Status(Action request) => Assert.Throws<RefusedException>(request).Status;
    }

    [Theory]
    [InlineData(DownloadFormat.Float32)]
    [InlineData(DownloadFormat.Float16)]
    public void Models_and_updates_of_old_rounds_are_deleted_and_their_rows_stay(DownloadFormat download)
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options with { Rounds = 5, Download = download }) { KeptRounds = 2, BlobGrace = TimeSpan.Zero });
        Coordinator coordinator = folder.Open();
        folder.Drive(coordinator, Clients());
        DecoderModel simulated = Tiny.Model();
        Simulation.Run(simulated, Tiny.Channels(pool, 3), folder.Settings.Federation);
        Assert.Equal(Tiny.Numbers(simulated), RunFolder.Numbers(coordinator));

        RoundRow[] rounds = [.. folder.Store.Rounds(coordinator.Run.Id)];
        Assert.Equal(rounds[..3].Select(round => round.Id), folder.Store.Released().Order());
        Assert.Equal(folder.Store.Blobs().Order(StringComparer.Ordinal), Directory.GetFiles(folder["blobs"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        // The models of two rounds and of the end, three updates each.
        Assert.Equal(3 + 2 * 3, folder.Store.Blobs().Count);
        BlobStore blobs = new(folder["blobs"]);
        Assert.All(rounds[..3], round => Assert.True(RoundExplanation.Of(folder.Store, blobs, coordinator.Run, round, default) is { Change: null, Clients: [{ Cosine: null, Answer.Update: not null }, ..] }));
        Assert.All(rounds[3..], round => Assert.True(RoundExplanation.Of(folder.Store, blobs, coordinator.Run, round, default) is { Change: > 0, Clients: [{ Cosine: not null }, ..] }));
        Assert.Equal(5, coordinator.Closed().Select(coordinator.Record).Count(record => record.Clients.Length == 3));
    }

    [Fact]
    public void What_a_process_left_that_died_is_gone_when_the_next_one_begins()
    {
        using RunFolder folder = new(Settings() with { BlobGrace = TimeSpan.Zero });
        Coordinator coordinator = folder.Open();
        long id = coordinator.Take("client-0")!.Id;
        coordinator.Append("client-0", id, 0, [1, 2, 3]);
        File.WriteAllBytes(folder["uploads/999"], [1]);
        File.WriteAllBytes(folder["uploads/998.lock"], []);
        File.WriteAllBytes(folder["blobs/dead.partial"], [1]);
        new BlobStore(folder["blobs"]).Put([9]);
        coordinator = folder.Open();
        Assert.Equal(3, coordinator.Uploaded("client-0", id));
        Assert.Equal([$"{id}", $"{id}.lock"], Directory.GetFiles(folder["uploads"]).Select(Path.GetFileName).Order());
        Assert.Equal(coordinator.Run.Model, Assert.Single(Directory.GetFiles(folder["blobs"]).Select(Path.GetFileName)));
    }

    [Fact]
    public void Too_few_answers_end_the_run_and_the_same_run_goes_on_when_opened_again()
    {
        using RunFolder folder = new(Settings() with { Minimum = 2 });
        Coordinator coordinator = folder.Open();
        RunRow failed = folder.Drive(coordinator, Clients()[..1]);
        Assert.Equal(RunState.Failed, failed.State);
        Assert.Contains("round 1: 1 updates, wanted at least 2", failed.Reason, StringComparison.Ordinal);
        Assert.Contains("the run failed", Assert.Throws<RefusedException>(() => coordinator.Take("client-0")).Message, StringComparison.Ordinal);
        Assert.Equal(2, folder.Store.Events(20).Count(entry => entry.Text.Contains("deadline", StringComparison.Ordinal) || entry.Kind == "run"));

        (string, Func<byte[], ReadOnlyMemory<byte>>)[] clients = Clients();
        Assert.Equal(RunState.Done, folder.Drive(folder.Open(), clients[1..]).State);
    }

    [Fact]
    public void Another_run_in_the_folder_is_refused()
    {
        using RunFolder folder = new(Settings());
        folder.Open();
        folder.Settings = new RunSettings(Tiny.Options with { Seed = 77, Training = Tiny.Training with { BatchSize = 3 } });
        Assert.Contains($"{folder["federation.db"]}: holds another run (seed is 9 there and 77 here, training.batchSize is 2 there and 3 here); name another folder", Assert.Throws<CoppiceException>(() => folder.Open()).Message, StringComparison.Ordinal);
        folder.Settings = Settings();
        Assert.Contains("holds another run (of another model);", Assert.Throws<CoppiceException>(() => folder.Open(model: Tiny.Model(seed: 2))).Message, StringComparison.Ordinal);
        folder.Settings = Settings() with { Deadline = TimeSpan.FromDays(2), OverSelection = 1 };
        Assert.Equal(RunState.Running, folder.Open().Run.State);
    }

    [Fact]
    public void Too_few_enrolled_clients_are_one_clear_error()
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options with { ClientsPerRound = 4 }));
        Assert.Contains("3 clients are enrolled, wanted 4", Assert.Throws<NoResultException>(() => folder.Open()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Commits_that_are_repeated_reordered_or_different_change_nothing()
    {
        using RunFolder folder = new(Settings());
        Coordinator coordinator = folder.Open();
        (string Client, Func<byte[], ReadOnlyMemory<byte>> Answer)[] clients = [.. Clients().Reverse()];
        List<(string Client, long Id, ReadOnlyMemory<byte> Update)> first = [];
        foreach ((string client, Func<byte[], ReadOnlyMemory<byte>> answer) in clients)
        {
            long id = coordinator.Take(client)!.Id;
            ReadOnlyMemory<byte> update = answer(RunFolder.Task(coordinator, client, id));
            RunFolder.Send(coordinator, client, id, update.Span, chunk: 777);
            coordinator.Commit(client, id, update.Length, RunFolder.Hash(update.Span));
            Assert.Equal(409, Assert.Throws<RefusedException>(() => coordinator.Commit(client, id, 3, RunFolder.Hash([1, 2, 3]))).Status);
            Assert.Equal(409, Assert.Throws<RefusedException>(() => coordinator.Append(client, id, 0, [1])).Status);
            first.Add((client, id, update));
        }
        folder.Drive(coordinator, clients);
        foreach ((string client, long id, ReadOnlyMemory<byte> update) in first)
            coordinator.Commit(client, id, update.Length, RunFolder.Hash(update.Span));

        DecoderModel simulated = Tiny.Model();
        Simulation.Run(simulated, Tiny.Channels(pool, 3), folder.Settings.Federation);
        Assert.Equal(Tiny.Numbers(simulated), RunFolder.Numbers(coordinator));
    }

    [Fact]
    public void An_update_of_an_earlier_round_is_refused_and_costs_one_client_of_one_round()
    {
        using RunFolder folder = new(Settings());
        Coordinator coordinator = folder.Open();
        (string Client, Func<byte[], ReadOnlyMemory<byte>> Answer)[] clients = Clients();
        ReadOnlyMemory<byte>? old = null;
        folder.Store.Log("test", "begins", folder.Time.Now);
        (string, Func<byte[], ReadOnlyMemory<byte>>) replaying = ("client-1", task => old ??= clients[1].Answer(task));
        RefusedException? refused = null;
        while (coordinator.Run.State == RunState.Running)
            try
            {
                folder.Drive(coordinator, [clients[0], replaying, clients[2]]);
            }
            catch (RefusedException error)
            {
                refused = error;
            }
        Assert.Equal((422, RunState.Done), (refused!.Status, coordinator.Run.State));
        Assert.Contains("update of client 'client-1' in round 3: round is '1', wanted '3'", refused.Message, StringComparison.Ordinal);
        Assert.Contains(folder.Store.Events(50), entry => entry.Kind == "refused" && entry.Text == refused.Message);
        Assert.Equal(["client-0", "client-2"], folder.Store.Survivors(coordinator.Current.Id).Select(part => part.Client));
    }

    [Fact]
    public void Bytes_that_changed_on_the_way_are_thrown_away_and_can_be_sent_again()
    {
        using RunFolder folder = new(Settings());
        Coordinator coordinator = folder.Open();
        long id = coordinator.Take("client-0")!.Id;
        byte[] update = Clients()[0].Answer(RunFolder.Task(coordinator, "client-0", id)).ToArray(), damaged = [.. update];
        damaged[^3] ^= 1;
        coordinator.Append("client-0", id, 0, damaged);
        Assert.Equal(update.Length, Assert.Throws<RefusedException>(() => coordinator.Commit("client-0", id, update.Length - 1, RunFolder.Hash(update))).Offset);
        RefusedException refused = Assert.Throws<RefusedException>(() => coordinator.Commit("client-0", id, update.Length, RunFolder.Hash(update)));
        Assert.Equal((409, 0L), (refused.Status, refused.Offset));
        RunFolder.Send(coordinator, "client-0", id, update);
        Assert.Equal(AssignmentState.Received, folder.Store.FindAssignment(id)!.State);
    }

    [Fact]
    public void More_bytes_than_any_update_has_are_refused()
    {
        using RunFolder folder = new(Settings());
        Coordinator coordinator = folder.Open();
        long id = coordinator.Take("client-0")!.Id;
        Assert.Equal(413, Assert.Throws<RefusedException>(() => coordinator.Append("client-0", id, 0, new byte[coordinator.UpdateLimit + 1])).Status);
        Assert.Equal(0, coordinator.Uploaded("client-0", id));
    }
}
