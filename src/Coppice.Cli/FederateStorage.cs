using System.CommandLine;
using System.Security.Cryptography;
using Coppice.Server.Certificates;
using Coppice.Server.Rounds;
using Coppice.Server.Store;

namespace Coppice.Cli;

/// <summary>Where a federated run is kept: in its folder, or where several processes on several machines find it.</summary>
static class FederateStorage
{
    /// <summary>Environment variables that stand for the options, so that a password need not be in a command line that others can read.</summary>
    const string StoreVariable = "COPPICE_STORE", QueueVariable = "COPPICE_QUEUE";

    const string Wanted = "wanted sqlite, or a PostgreSQL database as \"Host=NAME;Database=NAME;Username=NAME\"";

    public static readonly Option<string?> Store = Options.Text("--store", "sqlite|DATABASE", $"Where rounds are kept: sqlite, a file in the run's folder (the default), or a PostgreSQL database, \"Host=NAME;Database=NAME;Username=NAME\"; also {StoreVariable}");
    public static readonly Option<string?> Queue = Options.Text("--queue", "memory|ADDRESS", $"How processes tell each other that there is work: memory, within this one (the default), or a RabbitMQ broker, amqp://USER:PASSWORD@HOST; also {QueueVariable}");
    public static readonly Option<string?> Blobs = Options.Text("--blobs", "DIR", "The folder of models and updates, which all processes of a run share; the run's folder by default");

    /// <summary>Whether the run's database is a file of its folder.</summary>
    public static bool IsInFolder(ParseResult parsed) => Setting(parsed, Store, StoreVariable) is null or "sqlite";

    /// <summary>Opens the store that a command line names.</summary>
    public static IRunStore OpenStore(ParseResult parsed, string folder)
    {
        if (IsInFolder(parsed))
            return new SqliteRunStore(Path.Combine(folder, SqliteRunStore.FileName));
        string settings = Setting(parsed, Store, StoreVariable)!;
        // What cannot be read is not shown: it may hold a password.
        return settings.Contains('=', StringComparison.Ordinal) && !settings.Contains("://", StringComparison.Ordinal)
            ? new PostgresRunStore(settings, new Random(RandomNumberGenerator.GetInt32(int.MaxValue)))
            : throw new MisuseException($"--store: {Wanted}");
    }

    /// <summary>Opens the queue that a command line names: the run's own on its broker.</summary>
    public static IWorkQueue OpenQueue(ParseResult parsed, Authority authority, Session session) => Setting(parsed, Queue, QueueVariable) switch
    {
        null or "memory" => new ChannelQueue(TimeProvider.System),
        var address when address.StartsWith("amqp", StringComparison.Ordinal) => new RabbitQueue(address, $"coppice-{Authority.ThumbprintOf(authority.Certificate)[..16]}", TimeProvider.System, new Told<string>(session.Say)),
        _ => throw new MisuseException("--queue: wanted memory, or a RabbitMQ broker as amqp://USER:PASSWORD@HOST:PORT/VHOST"),
    };

    static string? Setting(ParseResult parsed, Option<string?> option, string variable) =>
        parsed.GetValue(option) ?? (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : null);
}
