using Coppice.Federation;
using Coppice.Federation.Remote;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Federation;

namespace Coppice.Server.Tests.Rounds;

public sealed class RoundWorkerTests
{
    [Fact]
    public async Task A_queue_that_loses_every_message_costs_time_and_nothing_else()
    {
        using WorkerPool pool = new(1);
        using RunFolder folder = new(new RunSettings(Tiny.Options with { Rounds = 2 }), clients: 1);
        Coordinator coordinator = folder.Open();
        using RoundWorker worker = new(coordinator, new DeafQueue(), TimeSpan.FromMilliseconds(5), progress: null);
        await worker.StartAsync(default);
        Client client = new(Tiny.Name(0), Tiny.Text(0), pool);
        for (int round = 0; round < 2; round++)
        {
            AssignmentInfo? offer;
            while ((offer = coordinator.Take(client.Id)) is null)
                await Task.Delay(2);
            RunFolder.Send(coordinator, client.Id, offer.Id, client.Answer(RunFolder.Task(coordinator, client.Id, offer.Id)).Span);
        }
        Assert.Equal(RunState.Done, (await worker.Over.WaitAsync(TimeSpan.FromSeconds(30))).State);
        await worker.StopAsync(default);
    }

    [Fact]
    public async Task A_fault_of_the_store_ends_the_worker_and_is_not_lost()
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options), clients: 1);
        using RoundWorker worker = new(folder.Open(new FaultyStore(folder.Store, 30, after: false)), new DeafQueue(), TimeSpan.FromMilliseconds(1), progress: null);
        await worker.StartAsync(default);
        await Assert.ThrowsAsync<DeathException>(() => worker.Over.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    sealed class DeafQueue : IWorkQueue
    {
        public void Publish(long round) { }

        public async Task<long?> Next(TimeSpan patience, CancellationToken cancel)
        {
            await Task.Delay(patience, cancel);
            return null;
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
