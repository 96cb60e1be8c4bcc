using System.Data;
using System.Data.Common;
using Coppice.Tensors;

namespace Coppice.Server.Store;

/// <summary>The truth in SQL that every database here understands; a database adds how it is opened. Rounds are in SqlRunStore.Rounds.cs.</summary>
abstract partial class SqlRunStore : IRunStore
{
    const string RunColumns = "id, signature, options, model, state, reason", ClientColumns = "name, thumbprint, enrolled, revoked, seen";

    /// <inheritdoc/>
    public abstract TimeProvider Clock { get; }

    /// <inheritdoc/>
    public abstract string Place { get; }

    /// <summary>A connection that is open.</summary>
    protected abstract DbConnection Connect();

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Makes the tables that are not there.</summary>
    protected void CreateTables(string identity, string? first = null) => Change(connection =>
    {
        if (first is not null)
            connection.Execute(first);
        foreach (string table in Schema.Tables(identity))
            connection.Execute(table);
        return true;
    });

    /// <summary>One query.</summary>
    protected virtual T Reading<T>(Func<DbConnection, T> work)
    {
        using DbConnection connection = Connect();
        return work(connection);
    }

    /// <summary>One transaction.</summary>
    protected virtual T Changing<T>(Func<DbConnection, T> work)
    {
        using DbConnection connection = Connect();
        using DbTransaction transaction = connection.BeginTransaction(IsolationLevel.Serializable);
        T result = work(connection);
        transaction.Commit();
        return result;
    }

    /// <inheritdoc/>
    public void Enrol(string client, string thumbprint, DateTimeOffset now) => Change(connection =>
    {
        connection.Execute("INSERT INTO clients (name, thumbprint, enrolled) VALUES (@name, @thumbprint, @now) ON CONFLICT (name) DO UPDATE SET thumbprint = @thumbprint, enrolled = @now, revoked = NULL",
            ("@name", client), ("@thumbprint", thumbprint), ("@now", now));
        return Note(connection, "client", $"enrolled '{client}'", now);
    });

    /// <inheritdoc/>
    public void Revoke(string client, DateTimeOffset now) => Change(connection =>
    {
        if (connection.Execute("UPDATE clients SET revoked = COALESCE(revoked, @now) WHERE name = @name", ("@now", now), ("@name", client)) == 0)
            throw new CoppiceException($"client '{client}': none of that name was enrolled");
        return Note(connection, "client", $"revoked '{client}'", now);
    });

    /// <inheritdoc/>
    public ClientRow? FindClient(string client) => Read(connection => connection.First($"SELECT {ClientColumns} FROM clients WHERE name = @name", ReadClient, ("@name", client)));

    /// <inheritdoc/>
    public IReadOnlyList<ClientRow> Clients() => Read(connection => connection.Query($"SELECT {ClientColumns} FROM clients", ReadClient).OrderBy(client => client.Name, StringComparer.Ordinal).ToArray());

    /// <inheritdoc/>
    public RunRow OpenRun(string signature, string options, string model, NewRound first, DateTimeOffset now) => Change(connection =>
    {
        if (Run(connection) is { } run)
            return run;
        long id = connection.Number("INSERT INTO runs (signature, options, model, state) VALUES (@signature, @options, @model, @state) RETURNING id",
            ("@signature", signature), ("@options", options), ("@model", model), ("@state", RunState.Running));
        OpenRound(connection, id, model, first, now);
        return Run(connection)!;
    });

    /// <inheritdoc/>
    public RunRow? FindRun() => Read(Run);

    /// <inheritdoc/>
    public void FailRun(long round, string reason, DateTimeOffset now) => Change(connection => Round(connection, round) is { State: RoundState.Closing } row && Fail(connection, row.Run, reason, now));

    /// <inheritdoc/>
    public void ReopenRun(long run, DateTimeOffset deadline, DateTimeOffset now) => Change(connection =>
    {
        if (connection.Execute("UPDATE runs SET state = 'running', reason = NULL WHERE id = @run AND state = 'failed'", ("@run", run)) == 0)
            return false;
        connection.Execute("UPDATE rounds SET deadline = @deadline, attempt = 1 WHERE run = @run AND state = 'open'", ("@deadline", deadline), ("@run", run));
        connection.Execute("UPDATE assignments SET state = 'waiting', reason = NULL WHERE state IN ('refused', 'failed', 'late') AND round IN (SELECT id FROM rounds WHERE run = @run AND state = 'open')", ("@run", run));
        connection.Execute("DELETE FROM told WHERE run = @run", ("@run", run));
        return Note(connection, "run", "goes on after it had failed", now);
    });

    /// <inheritdoc/>
    public void Tell(long run, string client) => Change(connection => connection.Execute("INSERT INTO told (run, client) VALUES (@run, @client) ON CONFLICT (run, client) DO NOTHING", ("@run", run), ("@client", client)));

    /// <inheritdoc/>
    public IReadOnlySet<string> Told(long run) => Read(connection => connection.Query("SELECT client FROM told WHERE run = @run", reader => reader.GetString(0), ("@run", run)).ToHashSet());

    /// <inheritdoc/>
    public void Log(string kind, string text, DateTimeOffset now) => Change(connection => Note(connection, kind, text, now));

    /// <inheritdoc/>
    public IReadOnlyList<EventRow> Events(int count) => Read(connection => connection.Query("SELECT time, kind, text FROM events ORDER BY id DESC LIMIT @count",
        reader => new EventRow(reader.Time(0), reader.GetString(1), reader.GetString(2)), ("@count", count)).AsEnumerable().Reverse().ToArray());

    static RunRow? Run(DbConnection connection) => connection.First($"SELECT {RunColumns} FROM runs ORDER BY id DESC LIMIT 1",
        reader => new RunRow(reader.GetInt64(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.Word<RunState>(4), reader.OptionalText(5)));

    static bool Fail(DbConnection connection, long run, string reason, DateTimeOffset now) =>
        connection.Execute("UPDATE runs SET state = 'failed', reason = @reason WHERE id = @run AND state = 'running'", ("@reason", reason), ("@run", run)) > 0
        && Note(connection, "run", $"failed: {reason}", now);

    static bool Note(DbConnection connection, string kind, string text, DateTimeOffset now) =>
        connection.Execute("INSERT INTO events (time, kind, text) VALUES (@time, @kind, @text)", ("@time", now), ("@kind", kind), ("@text", text)) > 0;

    static ClientRow ReadClient(DbDataReader reader) => new(reader.GetString(0), reader.GetString(1), reader.Time(2), reader.OptionalTime(3), reader.OptionalTime(4));

    T Read<T>(Func<DbConnection, T> work) => Guard(() => Reading(work));

    T Change<T>(Func<DbConnection, T> work) => Guard(() => Changing(work));

    // A full disk, a lock that is never given up: the process ends, and whoever starts it again goes on.
    static T Guard<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (DbException error)
        {
            throw new CoppiceException($"the run's database: {error.Message}", error);
        }
    }
}
