using Coppice.Federation.Remote;

namespace Coppice.Server.Rounds;

/// <summary>Who gives out work to clients and takes their answers, as the network sees it. All refusals are <see cref="RefusedException"/>s.</summary>
interface IAssignments
{
    /// <summary>The run, for clients.</summary>
    RunInfo Describe(IReadOnlyList<OfferedFile> tokenizer);

    /// <summary>Whether there is a run.</summary>
    bool IsReady { get; }

    /// <summary>Whether the run is over, well or not.</summary>
    bool IsOver { get; }

    /// <summary>What a client is asked now; null for nothing. Refused with <see cref="RefusedException.Gone"/> once the run is over.</summary>
    AssignmentInfo? Take(string client);

    /// <summary>Clients that asked for work since then.</summary>
    IReadOnlySet<string> Here(DateTimeOffset since);

    /// <summary>Notes that a client knows that the run is over.</summary>
    void Tell(string client);

    /// <summary>Those that know it.</summary>
    IReadOnlySet<string> Told();

    /// <summary>The task of an assignment.</summary>
    TaskContent Task(string client, long id);

    /// <summary>Counts what was sent of a task.</summary>
    void Sent(long assignment, long bytes);

    /// <summary>How many bytes of an update are there.</summary>
    long Uploaded(string client, long id);

    /// <summary>Takes a chunk of an update and returns how many bytes are there now. A chunk that does not begin where the last one ended is refused, with the place.</summary>
    long Append(string client, long id, long offset, ReadOnlySpan<byte> chunk);

    /// <summary>Makes what was uploaded the assignment's answer. The same again does nothing.</summary>
    void Commit(string client, long id, long bytes, string sha256);

    /// <summary>Notes that an assignment gets no answer, and why; nobody waits for it any more. The same again does nothing.</summary>
    /// <param name="reason">One line, the client's own.</param>
    void Fail(string client, long id, string reason);
}
