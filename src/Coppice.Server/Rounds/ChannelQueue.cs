using System.Threading.Channels;

namespace Coppice.Server.Rounds;

/// <summary>The queue of one process.</summary>
sealed class ChannelQueue(TimeProvider time) : IWorkQueue
{
    readonly Channel<long> channel = Channel.CreateBounded<long>(new BoundedChannelOptions(1024) { FullMode = BoundedChannelFullMode.DropOldest });

    /// <inheritdoc/>
    public void Publish(long round) => channel.Writer.TryWrite(round);

    /// <inheritdoc/>
    public Task<long?> Next(TimeSpan patience, CancellationToken cancel) => Read<long, long?>(channel.Reader, id => id, patience, time, cancel);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>What comes next, or the default where nothing came for a while.</summary>
    public static async Task<TResult?> Read<T, TResult>(ChannelReader<T> reader, Func<T, TResult> read, TimeSpan patience, TimeProvider time, CancellationToken cancel)
    {
        using CancellationTokenSource wait = new(patience, time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(wait.Token, cancel);
        try
        {
            return read(await reader.ReadAsync(both.Token));
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return default;
        }
    }
}
