using Coppice.Server.Rounds;
using Coppice.Server.Store;

namespace Coppice.Server.Tests.Rounds;

/// <summary>Drives a run as the network would on a bad day: rounds go on by a queue that loses, repeats and reorders, and what clients sent comes again, changed, or late. None of it may change anything.</summary>
sealed class Disturbance(RunFolder folder, (string Client, Func<byte[], ReadOnlyMemory<byte>> Answer)[] clients, Random random)
{
    readonly List<(string Client, long Id, byte[] Update)> sent = [];
    readonly FaultyQueue queue = new(random);

    /// <summary>Requests that were refused, all of them as they should be.</summary>
    public int Refusals { get; private set; }

    /// <summary>Takes the run to its end, or to the death of its server; with another coordinator it goes on.</summary>
    public Coordinator Drive(IRunStore store)
    {
        Coordinator coordinator = folder.Open(store, queue: queue);
        while (coordinator.Run.State == RunState.Running)
        {
            // The last one gets its task while the round is open, and answers when it is not any more.
            (string late, Func<byte[], ReadOnlyMemory<byte>> answerLate) = clients[^1];
            long? asked = coordinator.Take(late)?.Id;
            byte[]? overdue = asked is { } id ? answerLate(RunFolder.Task(coordinator, late, id)).ToArray() : null;
            bool answered = false;
            foreach ((string client, Func<byte[], ReadOnlyMemory<byte>> answer) in clients[..^1])
            {
                Again(coordinator);
                if (coordinator.Run.State == RunState.Running && coordinator.Take(client) is { } offer)
                {
                    byte[] update = answer(RunFolder.Task(coordinator, client, offer.Id)).ToArray();
                    RunFolder.Send(coordinator, client, offer.Id, update);
                    sent.Add((client, offer.Id, update));
                    answered = true;
                }
            }
            if (asked is { } overtaken && answered)
                Refused(() => RunFolder.Send(coordinator, late, overtaken, overdue));
            bool moved = false;
            while (queue.Next() is { } round)
                moved |= coordinator.Advance(round, default);
            if (!moved && !coordinator.Advance(coordinator.Current.Id, default) && !answered)
                folder.Time.Now += folder.Settings.Deadline;
        }
        return coordinator;
    }

    // Something that was sent comes once more.
    void Again(Coordinator coordinator)
    {
        if (sent.Count == 0)
            return;
        (string client, long id, byte[] update) = sent[random.Next(sent.Count)];
        switch (random.Next(4))
        {
            case 0:
                coordinator.Commit(client, id, update.Length, RunFolder.Hash(update));
                break;
            case 1:
                Refused(() => coordinator.Commit(client, id, 3, RunFolder.Hash([1, 2, 3])));
                break;
            case 2:
                Refused(() => coordinator.Append(client, id, 0, update.AsSpan(0, 10)));
                break;
        }
    }

    void Refused(Action request)
    {
        try
        {
            request();
        }
        catch (RefusedException refused)
        {
            Assert.Contains(refused.Status, new[] { RefusedException.Conflict, RefusedException.Gone });
            Refusals++;
            return;
        }
        Assert.Fail("it was not refused");
    }
}
