using Coppice.Server.Store;
using Coppice.Tensors;

namespace Coppice.Server.Tests.Store;

/// <summary>What every store keeps to; one class for each database gives it a store.</summary>
public abstract class RunStoreContract
{
    static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero), Deadline = Start.AddMinutes(10);

    static readonly RoundRule Two = new(2, 1, TimeSpan.FromMinutes(10)), AtLeastTwo = new(3, 2, TimeSpan.FromMinutes(10));

    // A store over the same data each time it is asked for within a test.
    internal abstract IRunStore Open();

    static UpdateRow Update(string blob, int samples = 5) => new(blob, 100, samples, 1.1, Math.PI, 1e-300);

    static (RunRow Run, RoundRow Round, AssignmentRow[] Assignments) Begin(IRunStore store, int clients = 3)
    {
        string[] names = [.. Enumerable.Range(0, clients).Select(i => $"c{i}")];
        foreach (string name in names)
            store.Enrol(name, "thumb-" + name, Start);
        RunRow run = store.OpenRun("signature", "{}", "model", new NewRound(1, names, Deadline), Start);
        RoundRow round = store.Rounds(run.Id)[^1];
        return (run, round, [.. store.Answers(round.Id).Select(answer => answer.Assignment)]);
    }

    [Fact]
    public void What_was_written_is_there_for_whoever_opens_it_next()
    {
        using (IRunStore store = Open())
        {
            (_, RoundRow round, AssignmentRow[] asked) = Begin(store);
            store.Commit(asked[1].Id, Update("blob"), Two, Start.AddSeconds(3));
            Assert.Equal((1, RoundState.Open, "model", Start, Deadline, 1), (round.Number, round.State, round.Model, round.Opened, round.Deadline, round.Attempt));
        }
        using IRunStore again = Open();
        RunRow run = again.FindRun()!;
        Assert.Equal(("signature", "{}", "model", RunState.Running, null), (run.Signature, run.Options, run.Model, run.State, run.Reason));
        AnswerRow[] answers = [.. again.Answers(again.Rounds(run.Id)[0].Id)];
        Assert.Equal(["c0", "c1", "c2"], answers.Select(answer => answer.Assignment.Client));
        Assert.Equal([null, Update("blob"), null], answers.Select(answer => answer.Update));
        Assert.Equal(AssignmentState.Received, answers[1].Assignment.State);
    }

    [Fact]
    public void A_run_is_opened_once()
    {
        using IRunStore store = Open();
        (RunRow run, _, _) = Begin(store);
        Assert.Equal(run, store.OpenRun("another", "[]", "other", new NewRound(1, ["c0"], Deadline), Start));
        Assert.Single(store.Rounds(run.Id));
    }

    [Fact]
    public void Clients_are_enrolled_revoked_and_enrolled_again()
    {
        using IRunStore store = Open();
        store.Enrol("b", "1", Start);
        store.Enrol("a", "2", Start);
        store.Revoke("b", Start.AddSeconds(1));
        store.Revoke("b", Start.AddSeconds(2));
        Assert.Equal(["a", "b"], store.Clients().Select(client => client.Name));
        Assert.Equal(Start.AddSeconds(1), store.FindClient("b")!.Revoked);
        store.Enrol("b", "3", Start.AddSeconds(3));
        Assert.Equal(new ClientRow("b", "3", Start.AddSeconds(3), null, null), store.FindClient("b"));
        Assert.Null(store.FindClient("c"));
        Assert.Contains("'c'", Assert.Throws<CoppiceException>(() => store.Revoke("c", Start)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_gets_its_assignment_as_often_as_it_asks_until_it_answered()
    {
        using IRunStore store = Open();
        (RunRow run, _, AssignmentRow[] asked) = Begin(store);
        Assert.Equal((asked[0].Id, 1), (store.Take(run.Id, "c0", Start)!.Id, store.FindAssignment(asked[0].Id)!.Epoch));
        Assert.Equal(2, store.Take(run.Id, "c0", Start.AddSeconds(15))!.Epoch);
        Assert.Equal(Start.AddSeconds(15), store.FindClient("c0")!.Seen);
        store.Commit(asked[0].Id, Update("x"), Two, Start);
        Assert.Null(store.Take(run.Id, "c0", Start));
        Assert.Null(store.Take(run.Id, "nobody", Start));
    }

    [Fact]
    public void Commits_that_come_twice_differ_or_come_late_change_nothing()
    {
        using IRunStore store = Open();
        (_, RoundRow round, AssignmentRow[] asked) = Begin(store);
        Assert.Equal((CommitOutcome.Committed, RoundStep.None), store.Commit(asked[2].Id, Update("x"), Two, Start));
        Assert.Equal((CommitOutcome.Repeated, RoundStep.None), store.Commit(asked[2].Id, Update("x", 9), Two, Start));
        Assert.Equal((CommitOutcome.Different, RoundStep.None), store.Commit(asked[2].Id, Update("y"), Two, Start));
        Assert.Equal((CommitOutcome.Committed, RoundStep.Closing), store.Commit(asked[0].Id, Update("z"), Two, Start));
        Assert.Equal((CommitOutcome.Late, RoundStep.None), store.Commit(asked[1].Id, Update("w"), Two, Start));
        Assert.Equal([new Survivor("c0", Update("z")), new Survivor("c2", Update("x"))], store.Survivors(round.Id));
        Assert.Equal(AssignmentState.Late, store.FindAssignment(asked[1].Id)!.State);
    }

    [Fact]
    public void A_refused_update_is_final_and_nobody_waits_for_it()
    {
        using IRunStore store = Open();
        (_, RoundRow round, AssignmentRow[] asked) = Begin(store, 2);
        store.Commit(asked[0].Id, Update("x"), Two, Start);
        Assert.Equal(RoundStep.Closing, store.Refuse(asked[1].Id, "damaged", 40, Two, Start));
        Assert.Equal(RoundStep.None, store.Refuse(asked[1].Id, "again", 40, Two, Start));
        Assert.Equal((CommitOutcome.Refused, RoundStep.None), store.Commit(asked[1].Id, Update("y"), Two, Start));
        Assert.Equal(("damaged", 40L), (store.FindAssignment(asked[1].Id)!.Reason, store.FindAssignment(asked[1].Id)!.BytesUp));
        Assert.Equal(["c0"], store.Survivors(round.Id).Select(survivor => survivor.Client));
    }

    [Fact]
    public void A_client_that_failed_is_not_waited_for_and_asked_again_when_the_run_is_reopened()
    {
        using IRunStore store = Open();
        (RunRow run, RoundRow round, AssignmentRow[] asked) = Begin(store);
        Assert.Equal(RoundStep.None, store.Fail(asked[0].Id, "no memory", AtLeastTwo, Start));
        Assert.Equal(RoundStep.None, store.Fail(asked[0].Id, "again", AtLeastTwo, Start));
        Assert.Equal((AssignmentState.Failed, "no memory"), (store.FindAssignment(asked[0].Id)!.State, store.FindAssignment(asked[0].Id)!.Reason));
        Assert.Equal((CommitOutcome.Refused, RoundStep.None), store.Commit(asked[0].Id, Update("y"), AtLeastTwo, Start));
        store.Commit(asked[1].Id, Update("x"), AtLeastTwo, Start);
        Assert.Equal(RoundStep.Failed, store.Fail(asked[2].Id, "no disk", AtLeastTwo, Start));
        Assert.Equal("round 1: 1 updates, wanted at least 2: no memory; no disk", store.FindRun()!.Reason);
        store.ReopenRun(run.Id, Deadline, Start);
        Assert.Equal([AssignmentState.Waiting, AssignmentState.Received, AssignmentState.Waiting], store.Answers(round.Id).Select(answer => answer.Assignment.State));
    }

    [Fact]
    public void A_deadline_with_too_few_updates_is_moved_once_and_then_ends_the_run()
    {
        using IRunStore store = Open();
        (RunRow run, RoundRow round, AssignmentRow[] asked) = Begin(store);
        store.Commit(asked[0].Id, Update("x"), AtLeastTwo, Start);
        Assert.Equal(RoundStep.None, store.Settle(round.Id, AtLeastTwo, Deadline.AddSeconds(-1)));
        Assert.Equal(RoundStep.Extended, store.Settle(round.Id, AtLeastTwo, Deadline));
        Assert.Equal((Deadline.AddMinutes(10), 2), (store.FindRound(round.Id)!.Deadline, store.FindRound(round.Id)!.Attempt));
        Assert.Equal(RoundStep.None, store.Settle(round.Id, AtLeastTwo, Deadline.AddMinutes(9)));
        Assert.Equal(RoundStep.Failed, store.Settle(round.Id, AtLeastTwo, Deadline.AddMinutes(10)));
        Assert.Equal("round 1: 1 updates, wanted at least 2: 'c1' did not answer; 'c2' did not answer", store.FindRun()!.Reason);

        store.ReopenRun(run.Id, Deadline.AddDays(1), Deadline.AddHours(1));
        Assert.Equal((RunState.Running, null), (store.FindRun()!.State, store.FindRun()!.Reason));
        Assert.Equal((Deadline.AddDays(1), 1), (store.FindRound(round.Id)!.Deadline, store.FindRound(round.Id)!.Attempt));
        Assert.Equal(RoundStep.Closing, Last(store.Commit(asked[1].Id, Update("y"), AtLeastTwo with { Wanted = 2 }, Deadline.AddHours(1))));

        static RoundStep Last((CommitOutcome, RoundStep Step) result) => result.Step;
    }

    [Fact]
    public void At_the_deadline_those_who_answered_make_the_result()
    {
        using IRunStore store = Open();
        (_, RoundRow round, AssignmentRow[] asked) = Begin(store);
        store.Commit(asked[1].Id, Update("x"), Two, Start);
        Assert.Equal(RoundStep.Closing, store.Settle(round.Id, Two, Deadline));
        Assert.Equal(RoundStep.None, store.Settle(round.Id, Two, Deadline));
        Assert.Equal(["c1"], store.Survivors(round.Id).Select(survivor => survivor.Client));
    }

    [Fact]
    public void A_client_that_is_revoked_has_no_part_in_a_round_that_is_open()
    {
        using IRunStore store = Open();
        (_, RoundRow round, AssignmentRow[] asked) = Begin(store);
        store.Commit(asked[0].Id, Update("x"), AtLeastTwo, Start);
        store.Revoke("c0", Start);
        store.Commit(asked[1].Id, Update("y"), AtLeastTwo, Start);
        Assert.Equal((CommitOutcome.Committed, RoundStep.Closing), store.Commit(asked[2].Id, Update("z"), AtLeastTwo, Start));
        Assert.Equal(["c1", "c2"], store.Survivors(round.Id).Select(survivor => survivor.Client));
    }

    [Fact]
    public void Slices_and_closing_are_done_once()
    {
        using IRunStore store = Open();
        (RunRow run, RoundRow round, AssignmentRow[] asked) = Begin(store);
        Assert.False(store.CloseRound(round.Id, "early", null, Start));
        store.Commit(asked[0].Id, Update("x"), Two, Start);
        store.Commit(asked[1].Id, Update("y"), Two, Start);
        Assert.Equal(["a", "a", "b"], [store.PutSlice(round.Id, 0, "a"), store.PutSlice(round.Id, 0, "other"), store.PutSlice(round.Id, 1, "b")]);
        Assert.Equal([(0, "a"), (1, "b")], store.Slices(round.Id).Select(part => (part.Key, part.Value)).Order());

        NewRound next = new(2, ["c2"], Deadline.AddHours(1));
        Assert.True(store.CloseRound(round.Id, "second", next, Start.AddMinutes(1)));
        Assert.False(store.CloseRound(round.Id, "third", next, Start.AddMinutes(1)));
        RoundRow[] rounds = [.. store.Rounds(run.Id)];
        Assert.Equal([(1, RoundState.Closed, "model"), (2, RoundState.Open, "second")], rounds.Select(row => (row.Number, row.State, row.Model)));
        Assert.Equal(("second", RunState.Running), (store.FindRun()!.Model, store.FindRun()!.State));
        Assert.Equal("c2", store.Take(run.Id, "c2", Start)!.Client);
        Assert.Null(store.Take(run.Id, "c0", Start));

        store.Commit(Assert.Single(store.Answers(rounds[1].Id)).Assignment.Id, Update("z"), Two, Start);
        Assert.True(store.CloseRound(rounds[1].Id, "last", null, Start.AddMinutes(2)));
        Assert.Equal(("last", RunState.Done), (store.FindRun()!.Model, store.FindRun()!.State));
    }

    [Fact]
    public void A_run_fails_over_a_round_that_is_closing_and_over_no_other()
    {
        using IRunStore store = Open();
        (RunRow run, RoundRow round, AssignmentRow[] asked) = Begin(store, 2);
        store.FailRun(round.Id, "too early", Start);
        store.Commit(asked[0].Id, Update("x"), Two, Start);
        store.Commit(asked[1].Id, Update("y"), Two, Start);
        store.CloseRound(round.Id, "second", new NewRound(2, ["c0", "c1"], Deadline), Start);
        store.FailRun(round.Id, "too late", Start);
        Assert.Equal((RunState.Running, null), (store.FindRun()!.State, store.FindRun()!.Reason));
        RoundRow next = store.Rounds(run.Id)[1];
        foreach (AnswerRow answer in store.Answers(next.Id))
            store.Commit(answer.Assignment.Id, Update("z" + answer.Assignment.Client), Two, Start);
        store.FailRun(next.Id, "no number", Start);
        store.FailRun(next.Id, "again", Start);
        Assert.Equal((RunState.Failed, "no number"), (store.FindRun()!.State, store.FindRun()!.Reason));
    }

    [Fact]
    public void What_may_still_be_read_is_less_when_rounds_are_given_up()
    {
        using IRunStore store = Open();
        (RunRow run, RoundRow first, AssignmentRow[] asked) = Begin(store, 2);
        Close(first, asked, "a", () => Assert.Equal(["a0", "a1", "model", "slice"], store.Blobs().Order(StringComparer.Ordinal)), "next", new NewRound(2, ["c0", "c1"], Deadline));
        RoundRow second = store.Rounds(run.Id)[^1];
        store.Release(run.Id, 1);
        Assert.Empty(store.Released());
        Assert.Equal(["a0", "a1", "model", "next"], store.Blobs().Order(StringComparer.Ordinal));

        Close(second, [.. store.Answers(second.Id).Select(answer => answer.Assignment)], "b", () => { }, "last", null);
        store.Release(run.Id, 1);
        store.Release(run.Id, 1);
        Assert.Equal([first.Id], store.Released());
        Assert.Equal(["b0", "b1", "last", "next"], store.Blobs().Order(StringComparer.Ordinal));
        store.Release(run.Id, 0);
        Assert.Equal(["last"], store.Blobs());
        Assert.Equal(["c0", "c1"], store.Survivors(first.Id).Select(survivor => survivor.Client));

        void Close(RoundRow round, AssignmentRow[] assignments, string blobs, Action closing, string model, NewRound? next)
        {
            for (int i = 0; i < assignments.Length; i++)
                store.Commit(assignments[i].Id, Update($"{blobs}{i}"), Two, Start);
            store.PutSlice(round.Id, 0, "slice");
            closing();
            Assert.True(store.CloseRound(round.Id, model, next, Start));
        }
    }

    [Fact]
    public void Clients_that_know_of_the_end_are_noted_until_the_run_goes_on()
    {
        using IRunStore store = Open();
        (RunRow run, RoundRow round, _) = Begin(store);
        store.Tell(run.Id, "c1");
        store.Tell(run.Id, "c1");
        store.Tell(run.Id, "c0");
        Assert.Equal(["c0", "c1"], store.Told(run.Id).Order());
        store.Settle(round.Id, Two, Deadline);
        store.Settle(round.Id, Two, Deadline.AddMinutes(10));
        store.ReopenRun(run.Id, Deadline.AddDays(1), Deadline);
        Assert.Empty(store.Told(run.Id));
    }

    [Fact]
    public void Events_come_back_in_order_and_bytes_down_add_up()
    {
        using IRunStore store = Open();
        (_, _, AssignmentRow[] asked) = Begin(store);
        store.Log("access", "first", Start.AddSeconds(1));
        store.Log("access", "'; DROP TABLE runs; --", Start.AddSeconds(2));
        Assert.Equal([new EventRow(Start.AddSeconds(1), "access", "first"), new EventRow(Start.AddSeconds(2), "access", "'; DROP TABLE runs; --")], store.Events(2));
        store.Sent(asked[0].Id, 5);
        store.Sent(asked[0].Id, 1L << 40);
        Assert.Equal((1L << 40) + 5, store.FindAssignment(asked[0].Id)!.BytesDown);
    }

    [Fact]
    public void Many_at_once_commit_each_update_once_and_close_the_round_once()
    {
        using IRunStore store = Open();
        (_, RoundRow round, AssignmentRow[] asked) = Begin(store, 8);
        RoundRule rule = new(5, 1, TimeSpan.FromMinutes(1));
        (CommitOutcome Outcome, RoundStep Step)[] results = new (CommitOutcome, RoundStep)[32];
        Parallel.For(0, results.Length, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i => results[i] = store.Commit(asked[i % 8].Id, Update($"blob{i % 8}"), rule, Start));
        Assert.Equal(5, results.Count(result => result.Outcome == CommitOutcome.Committed));
        Assert.Equal(1, results.Count(result => result.Step == RoundStep.Closing));
        Assert.DoesNotContain(results, result => result.Outcome == CommitOutcome.Different);
        Assert.Equal(5, store.Survivors(round.Id).Count);
    }
}
