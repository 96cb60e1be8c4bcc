using System.Collections.Concurrent;
using System.Globalization;
using Coppice.Federation;
using Coppice.Federation.Remote;
using Coppice.Models;
using Coppice.Server.Observation;
using Coppice.Tensors;

namespace Coppice.Server.Rounds;

/// <summary>
/// Clients of a network as channels: whoever drives a run asks a client and waits, and the client fetches the question, works, and commits its answer. Questions live in this process only; what the
/// driver keeps of finished rounds and blocks is what outlives it. A client that comes with an answer to a question of an earlier process is told that it is late.
/// </summary>
sealed class LiveClients : IAssignments
{
    readonly UploadStore uploads;
    readonly LiveSettings settings;
    readonly TimeProvider time;
    readonly ConcurrentDictionary<string, Question> open = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, DateTimeOffset> seen = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, int> asked = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, bool> told = new(StringComparer.Ordinal);
    // The last answer of each client, by its id and hash, so that a commit that is repeated is known; without a hash it failed.
    readonly ConcurrentDictionary<string, (long Id, string? Sha256)> committed = new(StringComparer.Ordinal);
    long last;
    volatile string? end;

    /// <summary>Clients of a run that begins now.</summary>
    public LiveClients(UploadStore uploads, LiveSettings settings, TimeProvider time)
    {
        (this.uploads, this.settings, this.time) = (uploads, settings, time);
        // What an earlier process had of answers is nobody's.
        foreach (long left in uploads.All())
            uploads.Forget(left);
        // No number of an earlier process comes again.
        last = time.GetUtcNow().ToUnixTimeMilliseconds() * 1000;
    }

    /// <summary>Told of every client that asks for work.</summary>
    public IProgress<string>? Seen { get; init; }

    /// <summary>A channel to a client.</summary>
    public IClientChannel Channel(string client) => new LiveChannel(this, client);

    /// <summary>Ends the run: whoever asks for work is told why.</summary>
    public void End(string reason)
    {
        end = reason;
        foreach (Question question in open.Values)
            question.Answer.TrySetException(new CoppiceException(reason));
    }

    /// <inheritdoc/>
    public RunInfo Describe(IReadOnlyList<OfferedFile> tokenizer) => new(Wire.Version, settings.Run, IsOver ? "done" : "running", asked.Values.DefaultIfEmpty().Max(), 0, settings.Codec, settings.ContextLength, Wire.ChunkBytes, settings.AnswerLimit, tokenizer);

    /// <inheritdoc/>
    public bool IsReady => true;

    /// <inheritdoc/>
    public bool IsOver => end is not null;

    /// <inheritdoc/>
    public AssignmentInfo? Take(string client)
    {
        seen[client] = time.GetUtcNow();
        Seen?.Report(client);
        if (end is { } reason)
            throw new RefusedException(RefusedException.Gone, reason);
        return open.TryGetValue(client, out Question? question) ? new AssignmentInfo(question.Id, question.Step, question.Task.Length, question.Deadline) : null;
    }

    /// <inheritdoc/>
    public IReadOnlySet<string> Here(DateTimeOffset since) => seen.Where(part => part.Value > since).Select(part => part.Key).ToHashSet(StringComparer.Ordinal);

    /// <inheritdoc/>
    public void Tell(string client) => told[client] = true;

    /// <inheritdoc/>
    public IReadOnlySet<string> Told() => told.Keys.ToHashSet(StringComparer.Ordinal);

    /// <inheritdoc/>
    public TaskContent Task(string client, long id) => new(Find(client, id).Task, null);

    /// <inheritdoc/>
    public void Sent(long assignment, long bytes) => Telemetry.Bytes("down", bytes);

    /// <inheritdoc/>
    public long Uploaded(string client, long id) => uploads.Length(Find(client, id).Id);

    /// <inheritdoc/>
    public long Append(string client, long id, long offset, ReadOnlySpan<byte> chunk)
    {
        Question question = Find(client, id);
        lock (question)
        {
            long there = uploads.Length(id);
            if (offset != there)
                throw new RefusedException(RefusedException.Conflict, $"a chunk at byte {offset}, wanted at {there}", there);
            if (there + chunk.Length > settings.AnswerLimit)
                throw new RefusedException(RefusedException.TooLarge, $"an answer of more than {settings.AnswerLimit} bytes");
            uploads.Append(id, chunk);
            Telemetry.Bytes("up", chunk.Length);
            return there + chunk.Length;
        }
    }

    /// <inheritdoc/>
    public void Commit(string client, long id, long bytes, string sha256)
    {
        if (committed.TryGetValue(client, out (long Id, string? Sha256) before) && before.Id == id)
        {
            if (before.Sha256 is null)
                throw new RefusedException(RefusedException.Unprocessable, $"assignment {id}: the client had failed");
            if (before.Sha256 != sha256)
                throw new RefusedException(RefusedException.Conflict, $"assignment {id}: was committed already, with other bytes");
            return;
        }
        Question question = Find(client, id);
        lock (question)
        {
            long there = uploads.Length(id);
            if (there != bytes)
                throw new RefusedException(RefusedException.Conflict, $"assignment {id}: {there} bytes are there, not {bytes}", there);
            if (there == 0 || uploads.Hash(id) != sha256)
            {
                uploads.Delete(id);
                throw new RefusedException(RefusedException.Conflict, $"assignment {id}: its bytes are not those of the SHA-256 that it says; it has to be sent again", 0);
            }
            byte[] answer = File.ReadAllBytes(uploads.PathOf(id));
            committed[client] = (id, sha256);
            open.TryRemove(new KeyValuePair<string, Question>(client, question));
            uploads.Delete(id);
            Telemetry.Update("committed");
            question.Answer.TrySetResult(answer);
        }
    }

    /// <inheritdoc/>
    public void Fail(string client, long id, string reason)
    {
        if (committed.TryGetValue(client, out (long Id, string? Sha256) before) && before.Id == id)
        {
            if (before.Sha256 is not null)
                throw new RefusedException(RefusedException.Conflict, $"assignment {id}: was committed already");
            return;
        }
        Question question = Find(client, id);
        lock (question)
        {
            committed[client] = (id, null);
            open.TryRemove(new KeyValuePair<string, Question>(client, question));
            uploads.Delete(id);
            Telemetry.Update("failed");
            question.Answer.TrySetException(new CoppiceException($"failed: {reason}"));
        }
    }

    Question Find(string client, long id) => open.TryGetValue(client, out Question? question) && question.Id == id
        ? question
        : throw new RefusedException(RefusedException.Gone, $"assignment {id}: late, or none of this server's");

    byte[] Ask(string client, ReadOnlyMemory<byte> task, Pace pace, CancellationToken cancel)
    {
        TimeSpan deadline = pace == Pace.Prompt ? settings.PromptDeadline : settings.Deadline;
        if (end is { } reason)
            throw new CoppiceException(reason);
        Question question = new(Interlocked.Increment(ref last), asked.AddOrUpdate(client, 1, (_, count) => count + 1), task.ToArray(), time.GetUtcNow() + deadline);
        open[client] = question;
        try
        {
            return question.Answer.Task.WaitAsync(deadline, time, cancel).GetAwaiter().GetResult();
        }
        catch (TimeoutException)
        {
            throw new CoppiceException(string.Create(CultureInfo.InvariantCulture, $"did not answer within {deadline.TotalSeconds:0.###} s"));
        }
        finally
        {
            open.TryRemove(new KeyValuePair<string, Question>(client, question));
            lock (question)
                uploads.Delete(question.Id);
        }
    }

    sealed record Question(long Id, int Step, byte[] Task, DateTimeOffset Deadline)
    {
        public TaskCompletionSource<byte[]> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    sealed class LiveChannel(LiveClients clients, string client) : IClientChannel
    {
        public string Client => client;

        public bool IsRemote => true;

        public ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, CancellationToken cancel) => Exchange(task, Pace.Work, cancel);

        public ReadOnlyMemory<byte> Exchange(ReadOnlyMemory<byte> task, Pace pace, CancellationToken cancel) => clients.Ask(client, task, pace, cancel);
    }
}

/// <summary>How clients of a driven run are asked.</summary>
/// <param name="Run">Names the run.</param>
/// <param name="Codec">How updates are encoded.</param>
/// <param name="ContextLength">Tokens of a window.</param>
/// <param name="AnswerLimit">The most bytes that an answer may have.</param>
/// <param name="Deadline">How long a client has for an answer.</param>
sealed record LiveSettings(string Run, string Codec, int ContextLength, long AnswerLimit, TimeSpan Deadline)
{
    /// <summary>The same for an answer that takes no work.</summary>
    public TimeSpan PromptDeadline { get; init; } = Deadline;

    /// <summary>More bytes than any answer about a model needs: 8 a number and names, or products of all inputs of a stage.</summary>
    public static long LimitFor(DecoderModel model)
    {
        long numbers = model.Matrices().Sum(part => (long)part.Layer.Weight.Shape.Length) + model.AllVectors().Sum(part => (long)part.Vector.Shape.Length), tensors = model.Matrices().Count() + model.AllVectors().Count();
        long products = model.Blocks.SelectMany(block => block.Stages).Max(stage => stage.Groups.Sum(group => 4L * group[0].Weight.Columns * group[0].Weight.Columns));
        return Math.Min(Array.MaxLength, Message.MaxControlBytes + Math.Max(8 * numbers, products) + 4096 * (tensors + 16));
    }
}
