using System.Net;
using Npgsql;

namespace Coppice.Server.Tests.Servers;

/// <summary>A schema of a test's own in the server's database, dropped in the end.</summary>
sealed class PostgresSchema : IDisposable
{
    readonly string name = $"test_{Guid.NewGuid():N}";

    public PostgresSchema() => Execute($"CREATE SCHEMA {name}");

    /// <summary>Where the server listens.</summary>
    public static IPEndPoint Server => new NpgsqlConnectionStringBuilder(TestServer.Postgres.Address) is var builder ? new(IPAddress.Parse(builder.Host!), builder.Port) : throw new InvalidOperationException();

    /// <summary>The connection string that has tables made in the schema.</summary>
    public string Settings => Of(TestServer.Postgres.Address);

    /// <summary>The same over another way to the server.</summary>
    public string Through(int port) => Of(new NpgsqlConnectionStringBuilder(TestServer.Postgres.Address) { Host = "127.0.0.1", Port = port, SslMode = SslMode.Disable }.ToString());

    public void Dispose() => Execute($"DROP SCHEMA {name} CASCADE");

    /// <summary>Runs a statement beside the test's store.</summary>
    public static void Execute(string text)
    {
        using NpgsqlConnection connection = new(TestServer.Postgres.Address);
        connection.Open();
        using NpgsqlCommand command = new(text, connection);
        command.ExecuteNonQuery();
    }

    // Few connections each: many tests share a server.
    string Of(string settings) => new NpgsqlConnectionStringBuilder(settings) { SearchPath = name, MaxPoolSize = 8 }.ToString();
}
