namespace Coppice.Server.Rounds;

/// <summary>Ids of rounds that there is something to do for. It may lose, repeat and reorder them: whoever reads looks into the store as well, now and then.</summary>
interface IWorkQueue : IAsyncDisposable
{
    /// <summary>Says that a round may go on. Returns at once, and never fails.</summary>
    void Publish(long round);

    /// <summary>The next id, or null where none came for a while. Asking for the next one says that what came before was done. One reader at a time.</summary>
    Task<long?> Next(TimeSpan patience, CancellationToken cancel);
}
