using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Coppice.Federation;
using Coppice.Federation.Remote;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Server.Observation;
using Coppice.Server.Store;
using Coppice.Tensors;

namespace Coppice.Server.Rounds;

/// <summary>The server's side of a run without its network: it gives out assignments, takes updates, and takes each round as far as it goes. It keeps nothing that is not in the store.</summary>
sealed class Coordinator : IAssignments
{
    readonly IRunStore store;
    readonly BlobStore blobs;
    readonly UploadStore uploads;
    readonly IWorkQueue queue;
    readonly RunSettings settings;
    readonly DecoderConfig config;
    readonly TimeProvider time;
    readonly JsonElement taskConfig;
    readonly ConcurrentDictionary<string, Lazy<string>> downloads = new(StringComparer.Ordinal);
    readonly long run, numbers;
    readonly int place;

    /// <summary>Opens the run that the store holds, or begins one from <paramref name="model"/>.</summary>
    /// <param name="place">With which slice of a result to begin: processes that begin at different ones share the work.</param>
    /// <exception cref="CoppiceException">An option cannot be, the store holds another run, or too few clients are enrolled.</exception>
    public Coordinator(IRunStore store, BlobStore blobs, UploadStore uploads, IWorkQueue queue, RunSettings settings, DecoderConfig config, ParameterSet model, TimeProvider time, int place = 0)
    {
        settings.Validate();
        settings.Federation.Validate(config);
        this.place = place;
        (this.store, this.blobs, this.uploads, this.queue, this.settings, this.config, this.time) = (store, blobs, uploads, queue, settings, config, time);
        taskConfig = RoundTask.WriteConfig(config, settings.Federation.DownloadType);
        UpdateLimit = Message.MaxControlBytes + 8L * model.Count + 4096L * (model.Tensors.Count + 16);
        numbers = model.Count;
        run = Open(model);
        Sweep();
        foreach (long left in uploads.All())
            if (store.FindAssignment(left) is not { State: AssignmentState.Waiting } assignment || store.FindRound(assignment.Round)!.State != RoundState.Open)
                Forget(left);
    }

    /// <summary>More bytes than any codec needs for an update: 8 a number, and names.</summary>
    public long UpdateLimit { get; }

    /// <summary>How the run is set.</summary>
    public RunSettings Settings => settings;

    /// <summary>The run as it stands.</summary>
    public RunRow Run => store.FindRun()!;

    /// <summary>The round that is open or closing, or the last one.</summary>
    public RoundRow Current => store.Rounds(run)[^1];

    /// <summary>Rounds that are closed, in order.</summary>
    public IReadOnlyList<RoundRow> Closed() => [.. store.Rounds(run).Where(round => round.State == RoundState.Closed)];

    /// <summary>What happened in a closed round.</summary>
    public RoundRecord Record(RoundRow round) => RoundHistory.Record(store, round, numbers);

    long Open(ParameterSet model)
    {
        DateTimeOffset now = time.GetUtcNow();
        string first = blobs.Put(SafeTensorsWriter.ToBytes(model.Sources(DType.F32))), signature = settings.Signature(config, first);
        RunRow found = store.FindRun() ?? store.OpenRun(signature, settings.ToJson(), first, Draw(1), now);
        if (found.Signature != signature)
            throw new CoppiceException($"{store.Place}: holds another run ({settings.Difference(found.Options) ?? "of another model"}); name another folder, or serve it as it was begun");
        if (found.State == RunState.Failed)
            store.ReopenRun(found.Id, now + settings.Deadline, now);
        queue.Publish(store.Rounds(found.Id)[^1].Id);
        return found.Id;
    }

    NewRound Draw(int round)
    {
        string[] clients = [.. store.Clients().Where(client => client.Revoked is null).Select(client => client.Name)];
        int wanted = Math.Max(settings.Federation.ClientsPerRound, settings.Minimum);
        return clients.Length >= wanted && clients.Length > 0
            ? new NewRound(round, settings.Draw(clients, round), time.GetUtcNow() + settings.Deadline)
            : throw new NoResultException($"Round {round}: {clients.Length} clients are enrolled, wanted {Math.Max(wanted, 1)}");
    }

    /// <summary>How errors call a client's update.</summary>
    public static string NameOf(string client, RoundRow round) => $"update of client '{client}' in round {round.Number}";

    /// <inheritdoc/>
    public RunInfo Describe(IReadOnlyList<OfferedFile> tokenizer)
    {
        RunRow own = Run;
        FederatedOptions options = settings.Federation;
        return new RunInfo(Wire.Version, own.Signature, own.State.ToString().ToLowerInvariant(), Current.Number, options.Rounds, options.Codec.Name, options.Training.ContextLength, Wire.ChunkBytes, UpdateLimit, tokenizer);
    }

    /// <inheritdoc/>
    public bool IsReady => store.FindRun() is not null;

    /// <inheritdoc/>
    public bool IsOver => Run.State != RunState.Running;

    /// <inheritdoc/>
    public AssignmentInfo? Take(string client) => Run switch
    {
        { State: RunState.Done } => throw new RefusedException(RefusedException.Gone, "the run is done"),
        { State: RunState.Failed, Reason: var reason } => throw new RefusedException(RefusedException.Gone, $"the run failed: {reason}"),
        _ => store.Take(run, client, time.GetUtcNow()) is { } assignment ? new AssignmentInfo(assignment.Id, store.FindRound(assignment.Round)!.Number, Task(client, assignment.Id).Length, store.FindRound(assignment.Round)!.Deadline) : null,
    };

    /// <inheritdoc/>
    public IReadOnlySet<string> Here(DateTimeOffset since) => store.Clients().Where(client => client.Revoked is null && client.Seen > since).Select(client => client.Name).ToHashSet(StringComparer.Ordinal);

    /// <inheritdoc/>
    public IReadOnlySet<string> Told() => store.Told(run);

    /// <inheritdoc/>
    public void Tell(string client) => store.Tell(run, client);

    /// <inheritdoc/>
    public TaskContent Task(string client, long id)
    {
        RoundRow round = Waiting(client, id).Round;
        byte[] control = Message.Write(Round.Task(Run.Signature, round.Number, client, taskConfig, settings.Federation, Beside.Nothing), FederationJson.Default.RoundTask, []);
        // Those of rounds that have ended, here or elsewhere.
        foreach (string old in downloads.Keys.Where(blob => blob != round.Model))
            downloads.TryRemove(old, out _);
        string path = downloads.GetOrAdd(round.Model, Made).Value;
        // No row names a rounded model: it counts as new while it is asked for, and is made again where it is gone.
        if (!blobs.Touch(Path.GetFileName(path)))
            path = (downloads[round.Model] = Made(round.Model)).Value;
        return new TaskContent(control, path);

        Lazy<string> Made(string blob) => new(() => Download(blob));
    }

    /// <inheritdoc/>
    public void Sent(long assignment, long bytes)
    {
        Telemetry.Bytes("down", bytes);
        store.Sent(assignment, bytes);
    }

    /// <inheritdoc/>
    public long Uploaded(string client, long id) => uploads.Length(Waiting(client, id).Assignment.Id);

    /// <inheritdoc/>
    public long Append(string client, long id, long offset, ReadOnlySpan<byte> chunk)
    {
        Waiting(client, id);
        using IDisposable alone = Alone(id);
        // What was true before the lock was had may be so no longer.
        long there = Uploaded(client, id);
        if (offset != there)
            throw new RefusedException(RefusedException.Conflict, $"a chunk at byte {offset}, wanted at {there}", there);
        if (there + chunk.Length > UpdateLimit)
            throw new RefusedException(RefusedException.TooLarge, $"an update of more than {UpdateLimit} bytes");
        uploads.Append(id, chunk);
        Telemetry.Bytes("up", chunk.Length);
        return there + chunk.Length;
    }

    /// <inheritdoc/>
    /// <remarks>Every byte of it is checked first; what is refused is noted.</remarks>
    public void Commit(string client, long id, long bytes, string sha256)
    {
        Own(client, id);
        using IDisposable alone = Alone(id);
        (AssignmentRow assignment, RoundRow round) = Own(client, id);
        if (assignment.State != AssignmentState.Received)
            Receive(assignment, round, bytes, sha256);
        else if (store.Answers(round.Id).First(answer => answer.Assignment.Id == id).Update!.Blob != sha256)
            throw Noted(RefusedException.Conflict, $"{NameOf(client, round)}: was committed already, with other bytes");
    }

    /// <inheritdoc/>
    public void Fail(string client, long id, string reason)
    {
        Own(client, id);
        using IDisposable alone = Alone(id);
        (AssignmentRow assignment, RoundRow round) = Own(client, id);
        if (assignment.State == AssignmentState.Failed)
            return;
        Waiting(client, id);
        Telemetry.Update("failed");
        Next(round, store.Fail(id, $"{NameOf(client, round)}: the client failed: {reason}", settings.Rule, time.GetUtcNow()));
        uploads.Delete(id);
    }

    void Receive(AssignmentRow assignment, RoundRow round, long bytes, string sha256)
    {
        string name = NameOf(assignment.Client, round);
        Require(assignment, round);
        // A commit that was cut off after its file was taken over finds it as a blob. Whose it is, the message says.
        long there = uploads.Length(assignment.Id);
        bool taken = there == 0 && sha256.Length == 64 && sha256.All(char.IsAsciiHexDigitLower) && blobs.Has(sha256);
        string path = taken ? blobs.PathOf(sha256) : uploads.PathOf(assignment.Id);
        if (!taken && there != bytes)
            throw new RefusedException(RefusedException.Conflict, $"{name}: {there} bytes are there, not {bytes}", there);
        if (!taken && (there == 0 || uploads.Hash(assignment.Id) != sha256))
        {
            uploads.Delete(assignment.Id);
            throw Noted(RefusedException.Conflict, $"{name}: its bytes are not those of the SHA-256 that it says; it has to be sent again", 0);
        }
        UpdateRow row;
        // Only what is wrong with the message itself is the client's fault.
        string signature = Run.Signature;
        using StoredModel model = new(blobs.PathOf(round.Model), settings);
        try
        {
            using StoredUpdate update = new(name, path, signature, round.Number, assignment.Client, model, settings);
            row = update.Check(sha256);
        }
        catch (CoppiceException error)
        {
            Telemetry.Update("refused");
            Next(round, store.Refuse(assignment.Id, error.Message, bytes, settings.Rule, time.GetUtcNow()));
            uploads.Delete(assignment.Id);
            throw new RefusedException(RefusedException.Unprocessable, error.Message);
        }
        Garbage.Collect(bytes);
        if (!taken)
            blobs.Adopt(path, sha256);
        (CommitOutcome outcome, RoundStep step) = store.Commit(assignment.Id, row, settings.Rule, time.GetUtcNow());
        Telemetry.Update(outcome.ToString().ToLowerInvariant());
        Next(round, step);
        if (outcome is not (CommitOutcome.Committed or CommitOutcome.Repeated))
            Require(store.FindAssignment(assignment.Id)!, round);
    }

    /// <summary>Takes a round as far as it goes: closes it where it is due, makes the next model, opens the next round. Returns whether it went on.</summary>
    public bool Advance(long id, CancellationToken cancel)
    {
        RunRow state = Run;
        if (state.State != RunState.Running || store.FindRound(id) is not { } round)
            return false;
        bool settled = round.State == RoundState.Open && store.Settle(id, settings.Rule, time.GetUtcNow()) != RoundStep.None;
        if (store.FindRound(id)!.State != RoundState.Closing)
            return settled;
        long start = time.GetTimestamp();
        using Activity? closing = Telemetry.Source.StartActivity("close round");
        closing?.SetTag("round", round.Number);
        try
        {
            string next = new Aggregator(store, blobs, settings, place).Run(state, round, cancel);
            store.CloseRound(id, next, round.Number < settings.Federation.Rounds ? Draw(round.Number + 1) : null, time.GetUtcNow());
            Telemetry.Closed(time.GetElapsedTime(start));
        }
        catch (NoResultException error)
        {
            store.FailRun(id, error.Message, time.GetUtcNow());
            return true;
        }
        catch (CoppiceException) when (store.FindRound(id)!.State == RoundState.Closed)
        {
            // Others were done with it long ago, and what this process was about to read is deleted.
            return true;
        }
        foreach (AnswerRow answer in store.Answers(id))
            Forget(answer.Assignment.Id);
        Sweep();
        return true;
    }

    // The rows first: whoever dies in between leaves files that the next sweep finds.
    void Sweep()
    {
        store.Release(run, settings.KeptRounds);
        blobs.Sweep(store.Blobs(), settings.BlobGrace);
    }

    /// <summary>The last model, once the run is done.</summary>
    public ParameterSet Model()
    {
        using StoredModel model = new(blobs.PathOf(Run.Model), settings);
        return model.Whole();
    }

    // The model's own file where it travels as float32; otherwise a rounded one beside it.
    string Download(string blob)
    {
        if (settings.Federation.Download == DownloadFormat.Float32)
            return blobs.PathOf(blob);
        using StoredModel model = new(blobs.PathOf(blob), settings);
        return blobs.PathOf(blobs.Put(SafeTensorsWriter.ToBytes(model.Whole().Sources(settings.Federation.DownloadType))));
    }

    void Next(RoundRow round, RoundStep step)
    {
        if (step != RoundStep.None)
            queue.Publish(round.Id);
    }

    (AssignmentRow Assignment, RoundRow Round) Own(string client, long id)
    {
        AssignmentRow assignment = store.FindAssignment(id) ?? throw new RefusedException(RefusedException.NotFound, $"assignment {id}: there is none");
        return assignment.Client == client
            ? (assignment, store.FindRound(assignment.Round)!)
            : throw Noted(RefusedException.Forbidden, $"assignment {id} is not that of client '{client}'");
    }

    (AssignmentRow Assignment, RoundRow Round) Waiting(string client, long id)
    {
        (AssignmentRow assignment, RoundRow round) = Own(client, id);
        if (assignment.State == AssignmentState.Received)
            throw new RefusedException(RefusedException.Conflict, $"{NameOf(client, round)}: was committed already");
        Require(assignment, round);
        return (assignment, round);
    }

    void Require(AssignmentRow assignment, RoundRow round)
    {
        if (assignment.State is AssignmentState.Refused or AssignmentState.Failed)
            throw new RefusedException(RefusedException.Unprocessable, assignment.Reason!);
        if (assignment.State != AssignmentState.Late && round.State == RoundState.Open)
            return;
        Forget(assignment.Id);
        throw Noted(RefusedException.Gone, $"{NameOf(assignment.Client, round)}: late, the round has ended");
    }

    RefusedException Noted(int status, string message, long? offset = null)
    {
        store.Log(status == RefusedException.Gone ? "late" : "refused", message, time.GetUtcNow());
        return new RefusedException(status, message, offset);
    }

    // Who is at it just now finds out that it is late.
    void Forget(long assignment)
    {
        using IDisposable? alone = uploads.Lock(assignment);
        if (alone is not null)
            uploads.Forget(assignment);
    }

    // A process has one request of a client at a time, but a client may have gone to another coordinator before the first was done.
    IDisposable Alone(long assignment) => uploads.Lock(assignment) ?? throw new RefusedException(RefusedException.TooMany, $"assignment {assignment}: another request is at its update", retryAfter: 1);
}
