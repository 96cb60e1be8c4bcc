namespace Coppice.Server.Store;

/// <summary>
/// A database's time: asked for once a minute, and counted on from there, so that deadlines mean the same to processes whose own clocks differ. It is off by half the time that the
/// database takes to answer at most, and by what a clock drifts in a minute.
/// </summary>
/// <param name="ask">Asks the database.</param>
/// <param name="local">Counts on.</param>
sealed class DatabaseClock(Func<DateTimeOffset> ask, TimeProvider local) : TimeProvider
{
    static readonly TimeSpan AskEvery = TimeSpan.FromMinutes(1);

    readonly Lock gate = new();
    DateTimeOffset answer;
    long? asked;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow()
    {
        lock (gate)
        {
            if (asked is not { } before || local.GetElapsedTime(before) >= AskEvery)
            {
                before = local.GetTimestamp();
                DateTimeOffset told = ask();
                (answer, asked) = (told + local.GetElapsedTime(before) / 2, local.GetTimestamp());
            }
            return answer + local.GetElapsedTime(asked.Value);
        }
    }
}
