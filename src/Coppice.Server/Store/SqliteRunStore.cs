using System.Data.Common;
using Coppice.Tensors;
using Microsoft.Data.Sqlite;

namespace Coppice.Server.Store;

/// <summary>Whether what was written outlives a power cut.</summary>
enum Durability
{
    /// <summary>It is on the disk when the call returns.</summary>
    Full,

    /// <summary>It outlives the process only: for tests that write thousands of times.</summary>
    Process,
}

/// <summary>The truth in one file, <c>federation.db</c>: readers beside one writer (WAL), each transaction on the disk before it counts.</summary>
sealed class SqliteRunStore : SqlRunStore
{
    /// <summary>The file's name in a run's folder.</summary>
    public const string FileName = "federation.db";

    readonly string connections;
    readonly Durability durability;

    /// <summary>Opens or makes the file.</summary>
    /// <exception cref="CoppiceException">It cannot be, or is no database.</exception>
    public SqliteRunStore(string path, Durability durability = Durability.Full)
    {
        (Place, this.durability) = (path, durability);
        connections = new SqliteConnectionStringBuilder { DataSource = path, ForeignKeys = true, DefaultTimeout = 30 }.ToString();
        try
        {
            using (DbConnection connection = Connect())
                connection.Execute("PRAGMA journal_mode = WAL");
        }
        catch (SqliteException error)
        {
            throw new CoppiceException($"{path}: could not be opened as a database: {error.Message}", error);
        }
        CreateTables("INTEGER PRIMARY KEY AUTOINCREMENT");
    }

    /// <inheritdoc/>
    public override TimeProvider Clock => TimeProvider.System;

    /// <inheritdoc/>
    public override string Place { get; }

    /// <inheritdoc/>
    protected override DbConnection Connect()
    {
        SqliteConnection connection = new(connections);
        connection.Open();
        connection.Execute(durability == Durability.Full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF");
        return connection;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        using SqliteConnection connection = new(connections);
        SqliteConnection.ClearPool(connection);
    }
}
