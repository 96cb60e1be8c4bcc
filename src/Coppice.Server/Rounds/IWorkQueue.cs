using System.Threading.Channels;

namespace Coppice.Server.Rounds;

/// <summary>Ids of rounds that there is something to do for. It may lose or repeat them: whoever reads looks into the store as well, now and then.</summary>
interface IWorkQueue
{
    /// <summary>Says that a round may go on.</summary>
    void Publish(long round);

    /// <summary>The next id, or null where none came for a while.</summary>
    Task<long?> Next(TimeSpan patience, CancellationToken cancel);
}

/// <summary>The queue of one process.</summary>
sealed class ChannelQueue(TimeProvider time) : IWorkQueue
{
    readonly Channel<long> channel = Channel.CreateBounded<long>(new BoundedChannelOptions(1024) { FullMode = BoundedChannelFullMode.DropOldest });

    /// <inheritdoc/>
    public void Publish(long round) => channel.Writer.TryWrite(round);

    /// <inheritdoc/>
    public async Task<long?> Next(TimeSpan patience, CancellationToken cancel)
    {
        using CancellationTokenSource wait = new(patience, time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(wait.Token, cancel);
        try
        {
            return await channel.Reader.ReadAsync(both.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return null;
        }
    }
}
