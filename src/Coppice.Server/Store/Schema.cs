namespace Coppice.Server.Store;

/// <summary>The tables. Times are milliseconds since 1970, blobs the SHA-256 of their bytes in hexadecimal.</summary>
static class Schema
{
    /// <summary>Statements that make what is not there yet.</summary>
    /// <param name="identity">How the database calls a whole-number key that it counts up itself.</param>
    public static IEnumerable<string> Tables(string identity) =>
    [
        "CREATE TABLE IF NOT EXISTS clients (name TEXT PRIMARY KEY, thumbprint TEXT NOT NULL, enrolled BIGINT NOT NULL, revoked BIGINT, seen BIGINT)",
        $"CREATE TABLE IF NOT EXISTS runs (id {identity}, signature TEXT NOT NULL UNIQUE, options TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, reason TEXT)",
        $"""
        CREATE TABLE IF NOT EXISTS rounds (id {identity}, run BIGINT NOT NULL REFERENCES runs (id), number BIGINT NOT NULL, state TEXT NOT NULL, model TEXT NOT NULL,
            opened BIGINT NOT NULL, deadline BIGINT NOT NULL, attempt BIGINT NOT NULL, closed BIGINT, UNIQUE (run, number))
        """,
        $"""
        CREATE TABLE IF NOT EXISTS assignments (id {identity}, run BIGINT NOT NULL REFERENCES runs (id), round BIGINT NOT NULL REFERENCES rounds (id), client TEXT NOT NULL REFERENCES clients (name),
            epoch BIGINT NOT NULL, state TEXT NOT NULL, reason TEXT, bytes_up BIGINT NOT NULL, bytes_down BIGINT NOT NULL, UNIQUE (round, client))
        """,
        """
        CREATE TABLE IF NOT EXISTS updates (assignment BIGINT PRIMARY KEY REFERENCES assignments (id), blob TEXT NOT NULL, bytes BIGINT NOT NULL, samples BIGINT NOT NULL,
            loss_before DOUBLE PRECISION NOT NULL, loss_after DOUBLE PRECISION NOT NULL, norm DOUBLE PRECISION NOT NULL)
        """,
        "CREATE TABLE IF NOT EXISTS survivors (round BIGINT NOT NULL REFERENCES rounds (id), assignment BIGINT NOT NULL REFERENCES assignments (id), PRIMARY KEY (round, assignment))",
        "CREATE TABLE IF NOT EXISTS slices (round BIGINT NOT NULL REFERENCES rounds (id), number BIGINT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY (round, number))",
        "CREATE TABLE IF NOT EXISTS released (round BIGINT PRIMARY KEY REFERENCES rounds (id))",
        "CREATE TABLE IF NOT EXISTS told (run BIGINT NOT NULL REFERENCES runs (id), client TEXT NOT NULL REFERENCES clients (name), PRIMARY KEY (run, client))",
        $"CREATE TABLE IF NOT EXISTS events (id {identity}, time BIGINT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL)",
    ];
}
