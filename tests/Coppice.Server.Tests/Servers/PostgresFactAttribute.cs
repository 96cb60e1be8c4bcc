namespace Coppice.Server.Tests.Servers;

/// <summary>A test that needs a PostgreSQL server; skipped where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PostgresFactAttribute : FactAttribute
{
    /// <summary>Skips unless there is a server.</summary>
    public PostgresFactAttribute() => Skip = TestServer.Postgres.Missing;
}

/// <summary>The same, over data.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PostgresTheoryAttribute : TheoryAttribute
{
    /// <summary>Skips unless there is a server.</summary>
    public PostgresTheoryAttribute() => Skip = TestServer.Postgres.Missing;
}
