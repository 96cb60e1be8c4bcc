using Coppice.Server.Rounds;

namespace Coppice.Server.Tests.Rounds;

/// <summary>A queue that loses a quarter of what is published, repeats a quarter, and gives out the rest in any order.</summary>
sealed class FaultyQueue(Random random) : IWorkQueue
{
    readonly List<long> waiting = [];

    public void Publish(long round)
    {
        for (int copies = random.Next(4) switch { 0 => 0, 1 => 2, _ => 1 }; copies > 0; copies--)
            waiting.Add(round);
    }

    public Task<long?> Next(TimeSpan patience, CancellationToken cancel) => Task.FromResult(Next());

    /// <summary>One of those that wait, or null.</summary>
    public long? Next()
    {
        if (waiting.Count == 0)
            return null;
        int at = random.Next(waiting.Count);
        long round = waiting[at];
        waiting.RemoveAt(at);
        return round;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
