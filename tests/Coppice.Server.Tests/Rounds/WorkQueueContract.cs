using Coppice.Server.Rounds;

namespace Coppice.Server.Tests.Rounds;

/// <summary>What every queue keeps to; one class for each gives it one.</summary>
public abstract class WorkQueueContract
{
    internal static readonly TimeSpan Long = TimeSpan.FromSeconds(60), Short = TimeSpan.FromMilliseconds(50);

    internal abstract IWorkQueue Open();

    [Fact]
    public async Task What_is_published_comes_in_its_order()
    {
        await using IWorkQueue queue = Open();
        foreach (long id in new[] { 3, 1, long.MaxValue })
            queue.Publish(id);
        Assert.Equal([3, 1, long.MaxValue], [await queue.Next(Long, default), await queue.Next(Long, default), await queue.Next(Long, default)]);
        Assert.Null(await queue.Next(Short, default));
    }

    [Fact]
    public async Task Who_waits_is_told_as_soon_as_something_comes_and_stops_when_it_is_to_stop()
    {
        await using IWorkQueue queue = Open();
        Task<long?> waiting = queue.Next(Long, default);
        queue.Publish(7);
        Assert.Equal(7, await waiting);
        using CancellationTokenSource stop = new();
        waiting = queue.Next(Long, stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    [Fact]
    public async Task More_than_it_holds_is_dropped_and_nobody_waits()
    {
        await using IWorkQueue queue = Open();
        for (int id = 1; id <= 5000; id++)
            queue.Publish(id);
        long? last = null;
        for (int got = 0; last != 5000; got++)
        {
            Assert.InRange(got, 0, 5000);
            last = await queue.Next(Long, default);
            Assert.NotNull(last);
        }
    }
}
