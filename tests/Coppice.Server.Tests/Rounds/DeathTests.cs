using System.Security.Cryptography;
using Coppice.Federation;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Federation;

namespace Coppice.Server.Tests.Rounds;

/// <summary>The server dies before or after any of its transactions, again and again, and whoever goes on ends with the bytes of an undisturbed run with the same survivors.</summary>
public sealed class DeathTests : IDisposable
{
    const int Seeds = 100;

    readonly WorkerPool pool = new(1);
    readonly Dictionary<string, ReadOnlyMemory<byte>> answers = [];

    public void Dispose() => pool.Dispose();

    // Two of three are wanted, all three are asked, and the third never answers in time; eleven tensors in several slices.
    static readonly RunSettings Settings = new(Tiny.Options with { ClientsPerRound = 2, Rounds = 2 }) { OverSelection = 0.5, SliceBytes = 1500 };

    // What a client answered once it answers again, as its journal does: a task that is not the same byte for byte would be out of its turn.
    (string, Func<byte[], ReadOnlyMemory<byte>>)[] Clients() => [.. Enumerable.Range(0, 3).Select(i =>
    {
        Client client = new(Tiny.Name(i), Tiny.Text(i, 200 + 40 * i), pool);
        return (client.Id, (Func<byte[], ReadOnlyMemory<byte>>)(task =>
        {
            string key = Convert.ToHexString(SHA256.HashData(task));
            lock (answers)
                return answers.TryGetValue(key, out ReadOnlyMemory<byte> answer) ? answer : answers[key] = client.Answer(task);
        }));
    })];

    [Fact]
    public void Dead_at_any_transaction_it_ends_with_the_same_bytes()
    {
        (string, Func<byte[], ReadOnlyMemory<byte>>)[] clients = Clients();
        float[] undisturbed;
        int calls, trained;
        using (RunFolder whole = new(Settings))
        {
            using FaultyStore counting = new(whole.Store, int.MaxValue, after: false);
            Coordinator coordinator = whole.Open(counting);
            whole.Drive(coordinator, clients);
            undisturbed = RunFolder.Numbers(coordinator);
            (calls, trained) = (counting.Calls, answers.Count);
        }
        Assert.InRange(calls, 80, 2000);

        int deaths = 0;
        Parallel.For(0, Seeds, seed =>
        {
            Random random = new(seed);
            using RunFolder folder = new(Settings);
            // The first death is spread over the whole run, later ones come as they come.
            int next = 1 + (calls - 1) * seed / (Seeds - 1);
            while (true)
            {
                try
                {
                    Coordinator coordinator = folder.Open(new FaultyStore(folder.Store, next, random.Next(2) == 0));
                    folder.Drive(coordinator, clients);
                    Assert.True(undisturbed.AsSpan().SequenceEqual(RunFolder.Numbers(coordinator)), $"seed {seed}");
                    break;
                }
                catch (DeathException)
                {
                    Interlocked.Increment(ref deaths);
                    next = 1 + random.Next(calls / 2);
                }
            }
            Assert.All(folder.Store.Rounds(folder.Store.FindRun()!.Id), round => Assert.Equal(2, folder.Store.Survivors(round.Id).Count));
        });
        Assert.True(deaths > Seeds, $"{deaths} deaths in {Seeds} runs");
        Assert.Equal(trained, answers.Count);
    }
}
