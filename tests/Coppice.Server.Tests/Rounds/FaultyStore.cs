using Coppice.Server.Store;

namespace Coppice.Server.Tests.Rounds;

/// <summary>The process died.</summary>
sealed class DeathException() : Exception("died here, as the test wanted");

/// <summary>A store that dies at one of its calls: just before it, so that nothing of it happened, or just after, so that all of it did and nobody was told.</summary>
sealed class FaultyStore(IRunStore inner, int deathAt, bool after) : IRunStore
{
    /// <summary>Calls so far.</summary>
    public int Calls { get; private set; }

    public TimeProvider Clock => inner.Clock;

    public string Place => inner.Place;

    public void Enrol(string client, string thumbprint, DateTimeOffset now) => At(() => inner.Enrol(client, thumbprint, now));

    public void Revoke(string client, DateTimeOffset now) => At(() => inner.Revoke(client, now));

    public ClientRow? FindClient(string client) => At(() => inner.FindClient(client));

    public IReadOnlyList<ClientRow> Clients() => At(inner.Clients);

    public RunRow OpenRun(string signature, string options, string model, NewRound first, DateTimeOffset now) => At(() => inner.OpenRun(signature, options, model, first, now));

    public RunRow? FindRun() => At(inner.FindRun);

    public void FailRun(long round, string reason, DateTimeOffset now) => At(() => inner.FailRun(round, reason, now));

    public void ReopenRun(long run, DateTimeOffset deadline, DateTimeOffset now) => At(() => inner.ReopenRun(run, deadline, now));

    public void Tell(long run, string client) => At(() => inner.Tell(run, client));

    public IReadOnlySet<string> Told(long run) => At(() => inner.Told(run));

    public RoundRow? FindRound(long round) => At(() => inner.FindRound(round));

    public IReadOnlyList<RoundRow> Rounds(long run) => At(() => inner.Rounds(run));

    public void See(string client, DateTimeOffset now) => At(() => inner.See(client, now));

    public AssignmentRow? Take(long run, string client, DateTimeOffset now) => At(() => inner.Take(run, client, now));

    public AssignmentRow? FindAssignment(long assignment) => At(() => inner.FindAssignment(assignment));

    public IReadOnlyList<AnswerRow> Answers(long round) => At(() => inner.Answers(round));

    public void Sent(long assignment, long bytes) => At(() => inner.Sent(assignment, bytes));

    public (CommitOutcome Outcome, RoundStep Step) Commit(long assignment, UpdateRow update, RoundRule rule, DateTimeOffset now) => At(() => inner.Commit(assignment, update, rule, now));

    public RoundStep Refuse(long assignment, string reason, long bytes, RoundRule rule, DateTimeOffset now) => At(() => inner.Refuse(assignment, reason, bytes, rule, now));

    public RoundStep Fail(long assignment, string reason, RoundRule rule, DateTimeOffset now) => At(() => inner.Fail(assignment, reason, rule, now));

    public RoundStep Settle(long round, RoundRule rule, DateTimeOffset now) => At(() => inner.Settle(round, rule, now));

    public IReadOnlyList<Survivor> Survivors(long round) => At(() => inner.Survivors(round));

    public string PutSlice(long round, int number, string blob) => At(() => inner.PutSlice(round, number, blob));

    public IReadOnlyDictionary<int, string> Slices(long round) => At(() => inner.Slices(round));

    public bool CloseRound(long round, string model, NewRound? next, DateTimeOffset now) => At(() => inner.CloseRound(round, model, next, now));

    public void Release(long run, int kept) => At(() => inner.Release(run, kept));

    public IReadOnlySet<long> Released() => At(inner.Released);

    public IReadOnlySet<string> Blobs() => At(inner.Blobs);

    public void Log(string kind, string text, DateTimeOffset now) => At(() => inner.Log(kind, text, now));

    public IReadOnlyList<EventRow> Events(int count) => At(() => inner.Events(count));

    public void Dispose() { }

    void At(Action work) => At(() =>
    {
        work();
        return true;
    });

    T At<T>(Func<T> work)
    {
        bool dies = ++Calls == deathAt;
        if (dies && !after)
            throw new DeathException();
        T result = work();
        return dies ? throw new DeathException() : result;
    }
}
