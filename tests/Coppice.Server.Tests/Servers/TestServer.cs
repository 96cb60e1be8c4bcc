namespace Coppice.Server.Tests.Servers;

/// <summary>A program that some tests need, and the environment variable that says where it is. <c>tests/servers/start</c> starts them and prints the variables.</summary>
sealed record TestServer(string Name, string Variable)
{
    public static readonly TestServer Postgres = new("PostgreSQL", "COPPICE_POSTGRES"), Rabbit = new("RabbitMQ", "COPPICE_RABBIT");

    /// <summary>Why a test is skipped, or null.</summary>
    public string? Missing => Environment.GetEnvironmentVariable(Variable) is null or "" ? $"{Variable} is not set: this test needs {Name} (eval \"$(tests/servers/start)\")" : null;

    /// <summary>Where it is: a connection string, or an address.</summary>
    public string Address => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } address ? address : throw new InvalidOperationException(Missing);
}
