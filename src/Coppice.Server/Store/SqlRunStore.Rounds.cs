using System.Data.Common;

namespace Coppice.Server.Store;

abstract partial class SqlRunStore
{
    const string RoundColumns = "id, run, number, state, model, opened, deadline, attempt, closed";
    const string AssignmentColumns = "a.id, a.run, a.round, a.client, a.epoch, a.state, a.reason, a.bytes_up, a.bytes_down";
    const string UpdateColumns = "u.blob, u.bytes, u.samples, u.loss_before, u.loss_after, u.norm";

    static readonly TimeSpan SeenWithin = TimeSpan.FromSeconds(15);

    /// <inheritdoc/>
    public RoundRow? FindRound(long round) => Read(connection => Round(connection, round));

    /// <inheritdoc/>
    public IReadOnlyList<RoundRow> Rounds(long run) => Read(connection => connection.Query($"SELECT {RoundColumns} FROM rounds WHERE run = @run ORDER BY number", ReadRound, ("@run", run)));

    /// <inheritdoc/>
    public void See(string client, DateTimeOffset now) => Change(connection => See(connection, client, now));

    // Clients ask every second or so: most times this changes nothing, and costs no write.
    static int See(DbConnection connection, string client, DateTimeOffset now) =>
        connection.Execute("UPDATE clients SET seen = @now WHERE name = @name AND (seen IS NULL OR seen <= @before)", ("@now", now), ("@name", client), ("@before", now - SeenWithin));

    /// <inheritdoc/>
    public AssignmentRow? Take(long run, string client, DateTimeOffset now) => Change(connection =>
    {
        See(connection, client, now);
        AssignmentRow? waiting = connection.First($"SELECT {AssignmentColumns} FROM assignments a JOIN rounds r ON r.id = a.round WHERE a.run = @run AND a.client = @client AND a.state = 'waiting' AND r.state = 'open'",
            ReadAssignment, ("@run", run), ("@client", client));
        if (waiting is null)
            return null;
        connection.Execute("UPDATE assignments SET epoch = epoch + 1 WHERE id = @id", ("@id", waiting.Id));
        return waiting with { Epoch = waiting.Epoch + 1 };
    });

    /// <inheritdoc/>
    public AssignmentRow? FindAssignment(long assignment) => Read(connection => Assignment(connection, assignment));

    /// <inheritdoc/>
    public IReadOnlyList<AnswerRow> Answers(long round) => Read(connection => connection.Query(
        $"SELECT {AssignmentColumns}, {UpdateColumns} FROM assignments a LEFT JOIN updates u ON u.assignment = a.id WHERE a.round = @round",
        reader => new AnswerRow(ReadAssignment(reader), reader.IsDBNull(9) ? null : ReadUpdate(reader, 9)), ("@round", round)).OrderBy(answer => answer.Assignment.Client, StringComparer.Ordinal).ToArray());

    /// <inheritdoc/>
    public void Sent(long assignment, long bytes) => Change(connection =>
        connection.Execute("UPDATE assignments SET bytes_down = bytes_down + @bytes WHERE id = @id", ("@bytes", bytes), ("@id", assignment)));

    /// <inheritdoc/>
    public (CommitOutcome Outcome, RoundStep Step) Commit(long assignment, UpdateRow update, RoundRule rule, DateTimeOffset now) => Change(connection =>
    {
        AssignmentRow asked = Assignment(connection, assignment) ?? throw new ArgumentException($"assignment {assignment}: there is none", nameof(assignment));
        if (asked.State == AssignmentState.Received)
        {
            string kept = connection.First($"SELECT blob FROM updates WHERE assignment = @id", reader => reader.GetString(0), ("@id", assignment))!;
            return (kept == update.Blob ? CommitOutcome.Repeated : CommitOutcome.Different, RoundStep.None);
        }
        RoundRow round = Round(connection, asked.Round)!;
        if (asked.State is AssignmentState.Refused or AssignmentState.Failed)
            return (CommitOutcome.Refused, RoundStep.None);
        if (asked.State == AssignmentState.Late || round.State != RoundState.Open)
            return (CommitOutcome.Late, RoundStep.None);
        connection.Execute("INSERT INTO updates (assignment, blob, bytes, samples, loss_before, loss_after, norm) VALUES (@id, @blob, @bytes, @samples, @before, @after, @norm)",
            ("@id", assignment), ("@blob", update.Blob), ("@bytes", update.Bytes), ("@samples", update.Samples), ("@before", update.LossBefore), ("@after", update.LossAfter), ("@norm", update.Norm));
        connection.Execute("UPDATE assignments SET state = 'received', bytes_up = bytes_up + @bytes WHERE id = @id", ("@bytes", update.Bytes), ("@id", assignment));
        Note(connection, "update", $"round {round.Number}: '{asked.Client}' committed {update.Bytes} bytes", now);
        return (CommitOutcome.Committed, Settle(connection, round, rule, now));
    });

    /// <inheritdoc/>
    public RoundStep Refuse(long assignment, string reason, long bytes, RoundRule rule, DateTimeOffset now) => WithoutUpdate(assignment, AssignmentState.Refused, reason, bytes, rule, now);

    /// <inheritdoc/>
    public RoundStep Fail(long assignment, string reason, RoundRule rule, DateTimeOffset now) => WithoutUpdate(assignment, AssignmentState.Failed, reason, 0, rule, now);

    RoundStep WithoutUpdate(long assignment, AssignmentState state, string reason, long bytes, RoundRule rule, DateTimeOffset now) => Change(connection =>
    {
        if (connection.Execute("UPDATE assignments SET state = @state, reason = @reason, bytes_up = bytes_up + @bytes WHERE id = @id AND state = 'waiting'",
            ("@state", state), ("@reason", reason), ("@bytes", bytes), ("@id", assignment)) == 0)
            return RoundStep.None;
        RoundRow round = Round(connection, Assignment(connection, assignment)!.Round)!;
        Note(connection, state == AssignmentState.Failed ? "failed" : "refused", reason, now);
        return Settle(connection, round, rule, now);
    });

    /// <inheritdoc/>
    public RoundStep Settle(long round, RoundRule rule, DateTimeOffset now) => Change(connection => Round(connection, round) is { } row ? Settle(connection, row, rule, now) : RoundStep.None);

    /// <inheritdoc/>
    public IReadOnlyList<Survivor> Survivors(long round) => Read(connection => connection.Query(
        $"SELECT a.client, {UpdateColumns} FROM survivors s JOIN assignments a ON a.id = s.assignment JOIN updates u ON u.assignment = s.assignment WHERE s.round = @round",
        reader => new Survivor(reader.GetString(0), ReadUpdate(reader, 1)), ("@round", round)).OrderBy(survivor => survivor.Client, StringComparer.Ordinal).ToArray());

    /// <inheritdoc/>
    public string PutSlice(long round, int number, string blob) => Change(connection =>
    {
        connection.Execute("INSERT INTO slices (round, number, blob) VALUES (@round, @number, @blob) ON CONFLICT (round, number) DO NOTHING", ("@round", round), ("@number", number), ("@blob", blob));
        return connection.First("SELECT blob FROM slices WHERE round = @round AND number = @number", reader => reader.GetString(0), ("@round", round), ("@number", number))!;
    });

    /// <inheritdoc/>
    public IReadOnlyDictionary<int, string> Slices(long round) => Read(connection => connection.Query("SELECT number, blob FROM slices WHERE round = @round",
        reader => ((int)reader.GetInt64(0), reader.GetString(1)), ("@round", round)).ToDictionary());

    /// <inheritdoc/>
    public bool CloseRound(long round, string model, NewRound? next, DateTimeOffset now) => Change(connection =>
    {
        if (connection.Execute("UPDATE rounds SET state = 'closed', closed = @now WHERE id = @round AND state = 'closing'", ("@now", now), ("@round", round)) == 0)
            return false;
        RoundRow row = Round(connection, round)!;
        connection.Execute("UPDATE runs SET model = @model, state = @state WHERE id = @run", ("@model", model), ("@state", next is null ? RunState.Done : RunState.Running), ("@run", row.Run));
        Note(connection, "round", $"round {row.Number}: closed", now);
        if (next is not null)
            OpenRound(connection, row.Run, model, next, now);
        return true;
    });

    /// <inheritdoc/>
    public void Release(long run, int kept) => Change(connection => connection.Execute(
        "INSERT INTO released (round) SELECT id FROM rounds WHERE run = @run AND state = 'closed' AND number <= (SELECT MAX(number) FROM rounds WHERE run = @run AND state = 'closed') - @kept ON CONFLICT (round) DO NOTHING",
        ("@run", run), ("@kept", kept)));

    /// <inheritdoc/>
    public IReadOnlySet<long> Released() => Read(connection => connection.Query("SELECT round FROM released", reader => reader.GetInt64(0)).ToHashSet());

    /// <inheritdoc/>
    public IReadOnlySet<string> Blobs() => Read(connection => connection.Query("""
        SELECT model FROM runs
        UNION SELECT model FROM rounds WHERE id NOT IN (SELECT round FROM released)
        UNION SELECT u.blob FROM updates u JOIN assignments a ON a.id = u.assignment WHERE a.round NOT IN (SELECT round FROM released)
        UNION SELECT s.blob FROM slices s JOIN rounds r ON r.id = s.round WHERE r.state <> 'closed'
        """, reader => reader.GetString(0)).ToHashSet(StringComparer.Ordinal));

    static void OpenRound(DbConnection connection, long run, string model, NewRound next, DateTimeOffset now)
    {
        long round = connection.Number("INSERT INTO rounds (run, number, state, model, opened, deadline, attempt) VALUES (@run, @number, 'open', @model, @now, @deadline, 1) RETURNING id",
            ("@run", run), ("@number", next.Number), ("@model", model), ("@now", now), ("@deadline", next.Deadline));
        foreach (string client in next.Clients)
            connection.Execute("INSERT INTO assignments (run, round, client, epoch, state, bytes_up, bytes_down) VALUES (@run, @round, @client, 0, 'waiting', 0, 0)",
                ("@run", run), ("@round", round), ("@client", client));
        Note(connection, "round", $"round {next.Number}: opened for {string.Join(", ", next.Clients)}", now);
    }

    static RoundStep Settle(DbConnection connection, RoundRow round, RoundRule rule, DateTimeOffset now)
    {
        if (round.State != RoundState.Open)
            return RoundStep.None;
        List<(AssignmentRow Row, bool Revoked)> asked = connection.Query($"SELECT {AssignmentColumns}, c.revoked FROM assignments a JOIN clients c ON c.name = a.client WHERE a.round = @round",
            reader => (ReadAssignment(reader), !reader.IsDBNull(9)), ("@round", round.Id));
        int received = asked.Count(part => part is { Row.State: AssignmentState.Received, Revoked: false }), waiting = asked.Count(part => part is { Row.State: AssignmentState.Waiting, Revoked: false });
        RoundStep step = rule.Decide(round, received, waiting, asked.Count, now);
        switch (step)
        {
            case RoundStep.Closing:
                BeginClosing(connection, round, received, now);
                break;
            case RoundStep.Extended:
                connection.Execute("UPDATE rounds SET deadline = @deadline, attempt = attempt + 1 WHERE id = @id", ("@deadline", now + rule.Extension), ("@id", round.Id));
                Note(connection, "round", $"round {round.Number}: {received} of the {rule.Minimum} updates that it needs by its deadline, which was moved by {rule.Extension.TotalSeconds:0.###} s", now);
                break;
            case RoundStep.Failed:
                Fail(connection, round.Run, $"round {round.Number}: {received} updates, wanted at least {rule.Minimum}: {string.Join("; ", asked.Where(part => part.Revoked || part.Row.State != AssignmentState.Received)
                    .OrderBy(part => part.Row.Client, StringComparer.Ordinal).Select(part => part.Revoked ? $"'{part.Row.Client}' was revoked" : part.Row.Reason ?? $"'{part.Row.Client}' did not answer"))}", now);
                break;
        }
        return step;
    }

    static void BeginClosing(DbConnection connection, RoundRow round, int received, DateTimeOffset now)
    {
        connection.Execute("UPDATE rounds SET state = 'closing' WHERE id = @round", ("@round", round.Id));
        connection.Execute("INSERT INTO survivors (round, assignment) SELECT a.round, a.id FROM assignments a JOIN clients c ON c.name = a.client WHERE a.round = @round AND a.state = 'received' AND c.revoked IS NULL", ("@round", round.Id));
        connection.Execute("UPDATE assignments SET state = 'late', reason = 'did not answer before the round ended' WHERE round = @round AND state = 'waiting'", ("@round", round.Id));
        Note(connection, "round", $"round {round.Number}: closing with {received} updates", now);
    }

    static RoundRow? Round(DbConnection connection, long id) => connection.First($"SELECT {RoundColumns} FROM rounds WHERE id = @id", ReadRound, ("@id", id));

    static AssignmentRow? Assignment(DbConnection connection, long id) => connection.First($"SELECT {AssignmentColumns} FROM assignments a WHERE a.id = @id", ReadAssignment, ("@id", id));

    static RoundRow ReadRound(DbDataReader reader) => new(reader.GetInt64(0), reader.GetInt64(1), (int)reader.GetInt64(2), reader.Word<RoundState>(3), reader.GetString(4),
        reader.Time(5), reader.Time(6), (int)reader.GetInt64(7), reader.OptionalTime(8));

    static AssignmentRow ReadAssignment(DbDataReader reader) => new(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetString(3), (int)reader.GetInt64(4),
        reader.Word<AssignmentState>(5), reader.OptionalText(6), reader.GetInt64(7), reader.GetInt64(8));

    static UpdateRow ReadUpdate(DbDataReader reader, int first) => new(reader.GetString(first), reader.GetInt64(first + 1), (int)reader.GetInt64(first + 2),
        reader.GetDouble(first + 3), reader.GetDouble(first + 4), reader.GetDouble(first + 5));
}
