using Coppice.Federation;
using Coppice.Server.Store;
using Microsoft.Extensions.Hosting;

namespace Coppice.Server.Rounds;

/// <summary>Takes rounds on, when the queue says that there is something to do, and every few seconds anyway. Without a queue it leaves that to others, and only sees how far they are.</summary>
sealed class RoundWorker(Coordinator coordinator, IWorkQueue? queue, TimeSpan sweep, IProgress<RoundRecord>? progress) : BackgroundService
{
    readonly TaskCompletionSource<RunRow> over = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The run, when it is done or failed; the fault where this worker could not go on.</summary>
    public Task<RunRow> Over => over.Task;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            int told = coordinator.Closed().Count;
            while (coordinator.Run is { State: RunState.Running })
            {
                if (queue is null)
                    await Task.Delay(sweep, stoppingToken);
                else
                    await Advance(queue, stoppingToken);
                IReadOnlyList<RoundRow> closed = coordinator.Closed();
                for (; told < closed.Count; told++)
                    progress?.Report(coordinator.Record(closed[told]));
            }
            over.TrySetResult(coordinator.Run);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            over.TrySetCanceled(stoppingToken);
        }
        catch (Exception error)
        {
            over.TrySetException(error);
            throw;
        }
    }

    async Task Advance(IWorkQueue queue, CancellationToken cancel)
    {
        long? id = await queue.Next(sweep, cancel);
        // Compute is synchronous, and may take long.
        await Task.Run(() =>
        {
            if (coordinator.Advance(id ?? coordinator.Current.Id, cancel))
                queue.Publish(coordinator.Current.Id);
        }, cancel);
    }
}
