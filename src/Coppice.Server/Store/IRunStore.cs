using Coppice.Tensors;

namespace Coppice.Server.Store;

/// <summary>What became of a commit.</summary>
enum CommitOutcome
{
    /// <summary>It is the assignment's update now.</summary>
    Committed,

    /// <summary>The same bytes were committed before.</summary>
    Repeated,

    /// <summary>Other bytes were committed before.</summary>
    Different,

    /// <summary>An earlier update was refused, or the client had said that there would be none.</summary>
    Refused,

    /// <summary>The round had ended.</summary>
    Late,
}

/// <summary>
/// The truth of a federated run. Every method is one transaction: after it all of its effects are there, whatever dies, or none; done twice it is done once. Any number of threads and
/// processes may call. Times are the caller's.
/// </summary>
interface IRunStore : IDisposable
{
    /// <summary>The time that all who share the store agree on.</summary>
    TimeProvider Clock { get; }

    /// <summary>Where it is, for messages: a file, or a database's name and host.</summary>
    string Place { get; }

    /// <summary>Enters a client and its certificate; one of that name gets the new certificate, and is no longer revoked.</summary>
    void Enrol(string client, string thumbprint, DateTimeOffset now);

    /// <summary>Shuts a client out from now on: it is in no round's result that is not closing yet.</summary>
    /// <exception cref="CoppiceException">There is none of that name.</exception>
    void Revoke(string client, DateTimeOffset now);

    /// <summary>A client by its name.</summary>
    ClientRow? FindClient(string client);

    /// <summary>All clients, by name.</summary>
    IReadOnlyList<ClientRow> Clients();

    /// <summary>The run that is there, whichever it is; or else a new one whose first round is open.</summary>
    RunRow OpenRun(string signature, string options, string model, NewRound first, DateTimeOffset now);

    /// <summary>The run, if there is one.</summary>
    RunRow? FindRun();

    /// <summary>Ends a run whose closing round can have no result; nothing where the round is not closing any more.</summary>
    void FailRun(long round, string reason, DateTimeOffset now);

    /// <summary>Lets a failed run go on: its open round asks all clients that did not answer, failed, or were refused, once more.</summary>
    void ReopenRun(long run, DateTimeOffset deadline, DateTimeOffset now);

    /// <summary>Notes that a client knows that the run is over.</summary>
    void Tell(long run, string client);

    /// <summary>The clients that know it.</summary>
    IReadOnlySet<string> Told(long run);

    /// <summary>A round by its id.</summary>
    RoundRow? FindRound(long round);

    /// <summary>All rounds of a run, in order.</summary>
    IReadOnlyList<RoundRow> Rounds(long run);

    /// <summary>Notes, to within 15 seconds, that a client was seen.</summary>
    void See(string client, DateTimeOffset now);

    /// <summary>The assignment that waits for a client's answer, if there is one; notes that the client was seen, too.</summary>
    AssignmentRow? Take(long run, string client, DateTimeOffset now);

    /// <summary>An assignment by its id.</summary>
    AssignmentRow? FindAssignment(long assignment);

    /// <summary>A round's assignments and their updates, by client.</summary>
    IReadOnlyList<AnswerRow> Answers(long round);

    /// <summary>Counts bytes of a task that were sent.</summary>
    void Sent(long assignment, long bytes);

    /// <summary>Makes an update the answer of an assignment, and takes the round's next step if this was what it waited for.</summary>
    (CommitOutcome Outcome, RoundStep Step) Commit(long assignment, UpdateRow update, RoundRule rule, DateTimeOffset now);

    /// <summary>Refuses what a client sent for an assignment, which then waits no longer.</summary>
    RoundStep Refuse(long assignment, string reason, long bytes, RoundRule rule, DateTimeOffset now);

    /// <summary>Notes that a client has no answer for an assignment, which then waits no longer.</summary>
    RoundStep Fail(long assignment, string reason, RoundRule rule, DateTimeOffset now);

    /// <summary>Takes an open round's next step: to closing with its survivors and the others late, to a new deadline, or to the end of the run.</summary>
    RoundStep Settle(long round, RoundRule rule, DateTimeOffset now);

    /// <summary>The clients whose updates go into a round's result, by name; none while it is open.</summary>
    IReadOnlyList<Survivor> Survivors(long round);

    /// <summary>Keeps a part of a round's result and returns the blob that is kept: the first that came.</summary>
    string PutSlice(long round, int number, string blob);

    /// <summary>The blobs of a round's result that are there, by their place.</summary>
    IReadOnlyDictionary<int, string> Slices(long round);

    /// <summary>Closes a closing round with its result, and opens the next one or, with none, ends the run. False where the round was not closing.</summary>
    bool CloseRound(long round, string model, NewRound? next, DateTimeOffset now);

    /// <summary>Gives up the models and updates of all closed rounds of a run but the last ones; what is known of those rounds stays.</summary>
    /// <param name="kept">How many closed rounds keep theirs.</param>
    void Release(long run, int kept);

    /// <summary>The rounds whose models and updates were given up.</summary>
    IReadOnlySet<long> Released();

    /// <summary>The blobs that may still be read: models and updates of rounds that were not given up, parts of results that are not there yet, and the runs' models.</summary>
    IReadOnlySet<string> Blobs();

    /// <summary>Notes what happened.</summary>
    void Log(string kind, string text, DateTimeOffset now);

    /// <summary>The last of what happened, oldest first.</summary>
    IReadOnlyList<EventRow> Events(int count);
}
