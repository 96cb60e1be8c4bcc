namespace Coppice.Server.Tests.Servers;

/// <summary>A test that needs a RabbitMQ server; skipped where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RabbitFactAttribute : FactAttribute
{
    /// <summary>Skips unless there is a server.</summary>
    public RabbitFactAttribute() => Skip = TestServer.Rabbit.Missing;
}

/// <summary>The same, over data.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RabbitTheoryAttribute : TheoryAttribute
{
    /// <summary>Skips unless there is a server.</summary>
    public RabbitTheoryAttribute() => Skip = TestServer.Rabbit.Missing;
}

/// <summary>A test that needs both servers.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ServersFactAttribute : FactAttribute
{
    /// <summary>Skips unless both are there.</summary>
    public ServersFactAttribute() => Skip = TestServer.Postgres.Missing ?? TestServer.Rabbit.Missing;
}
