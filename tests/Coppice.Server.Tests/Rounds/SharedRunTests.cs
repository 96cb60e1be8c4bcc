using Coppice.Federation;
using Coppice.Models;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Federation;

namespace Coppice.Server.Tests.Rounds;

/// <summary>Several coordinators over one store and one folder.</summary>
public sealed class SharedRunTests : IDisposable
{
    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    Client Client(int i) => new(Tiny.Name(i), Tiny.Text(i, 200 + 40 * i), pool);

    [Fact]
    public void Chunks_of_one_update_may_come_to_any_coordinator()
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options with { Rounds = 1 }));
        Coordinator[] coordinators = [folder.Open(), folder.Open()];
        for (int i = 0; i < 3; i++)
        {
            string name = Tiny.Name(i);
            long id = coordinators[0].Take(name)!.Id;
            Assert.Equal(id, coordinators[1].Take(name)!.Id);
            byte[] update = Client(i).Answer(RunFolder.Task(coordinators[1], name, id)).ToArray();
            int turn = i;
            for (long at = 0; at < update.Length; turn++)
            {
                Assert.Equal(at, coordinators[(turn + 1) % 2].Uploaded(name, id));
                // The same chunk once more, to the other one, as after an answer that was lost.
                long before = at, next = coordinators[turn % 2].Append(name, id, at, update.AsSpan((int)at, (int)Math.Min(1000, update.Length - at)));
                RefusedException twice = Assert.Throws<RefusedException>(() => coordinators[(turn + 1) % 2].Append(name, id, before, update.AsSpan((int)before, 10)));
                Assert.Equal((RefusedException.Conflict, next), (twice.Status, twice.Offset));
                at = next;
            }
            coordinators[turn % 2].Commit(name, id, update.Length, RunFolder.Hash(update));
            coordinators[(turn + 1) % 2].Commit(name, id, update.Length, RunFolder.Hash(update));
        }
        Assert.True(coordinators[1].Advance(coordinators[0].Current.Id, default));
        Assert.Empty(Directory.GetFiles(folder["uploads"]));
        DecoderModel simulated = Tiny.Model();
        Simulation.Run(simulated, Tiny.Channels(pool, 3), folder.Settings.Federation);
        Assert.Equal(Tiny.Numbers(simulated), RunFolder.Numbers(coordinators[0]));
    }

    [Fact]
    public void Who_comes_while_another_request_is_at_the_update_is_asked_to_come_again()
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options), clients: 1);
        Coordinator coordinator = folder.Open();
        long id = coordinator.Take(Tiny.Name(0))!.Id;
        UploadStore other = new(folder["uploads"]);
        using (other.Lock(id))
        {
            RefusedException busy = Assert.Throws<RefusedException>(() => coordinator.Append(Tiny.Name(0), id, 0, [1, 2, 3]));
            Assert.Equal((RefusedException.TooMany, 1), (busy.Status, busy.RetryAfter));
            Assert.Equal(RefusedException.TooMany, Assert.Throws<RefusedException>(() => coordinator.Commit(Tiny.Name(0), id, 3, RunFolder.Hash([1, 2, 3]))).Status);
        }
        Assert.Equal(3, coordinator.Append(Tiny.Name(0), id, 0, [1, 2, 3]));
    }

    [Fact]
    public void Aggregators_that_begin_at_different_slices_make_one_result_together()
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options with { Rounds = 1 }) { SliceBytes = 1 });
        Coordinator[] coordinators = [.. new[] { 0, 3, int.MaxValue }.Select(place => folder.Open(place: place))];
        for (int i = 0; i < 3; i++)
        {
            long id = coordinators[0].Take(Tiny.Name(i))!.Id;
            RunFolder.Send(coordinators[0], Tiny.Name(i), id, Client(i).Answer(RunFolder.Task(coordinators[0], Tiny.Name(i), id)).Span);
        }
        long round = coordinators[0].Current.Id;
        Parallel.ForEach(coordinators, coordinator => coordinator.Advance(round, default));
        Assert.Equal(RunState.Done, folder.Store.FindRun()!.State);
        Assert.Equal(1, folder.Store.Events(100).Count(entry => entry.Text == "round 1: closed"));
        DecoderModel simulated = Tiny.Model();
        Simulation.Run(simulated, Tiny.Channels(pool, 3), folder.Settings.Federation);
        Assert.Equal(Tiny.Numbers(simulated), RunFolder.Numbers(coordinators[2]));
    }

    [Fact]
    public void A_fault_of_the_server_s_is_not_held_against_the_client()
    {
        using RunFolder folder = new(new RunSettings(Tiny.Options), clients: 1);
        Coordinator coordinator = folder.Open();
        long id = coordinator.Take(Tiny.Name(0))!.Id;
        byte[] update = Client(0).Answer(RunFolder.Task(coordinator, Tiny.Name(0), id)).ToArray();
        string model = Path.Combine(folder["blobs"], coordinator.Current.Model);
        File.Move(model, model + ".away");
        Assert.Contains("has no blob", Assert.Throws<CoppiceException>(() => RunFolder.Send(coordinator, Tiny.Name(0), id, update)).Message, StringComparison.Ordinal);
        Assert.Equal(AssignmentState.Waiting, folder.Store.FindAssignment(id)!.State);
        File.Move(model + ".away", model);
        RunFolder.Send(coordinator, Tiny.Name(0), id, update);
        Assert.Equal(AssignmentState.Received, folder.Store.FindAssignment(id)!.State);
    }
}
