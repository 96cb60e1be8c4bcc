using System.Security.Cryptography;
using Coppice.Federation;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Tests.Federation;

namespace Coppice.Server.Tests.Rounds;

/// <summary>Schedules in which a run's server dies before or after any of its transactions, again and again, while its clients and its queue disturb it, over any store. Whoever goes on ends with the bytes of an undisturbed run with the same survivors.</summary>
sealed class Deaths : IDisposable
{
    // Two of three are wanted, all three are asked, and the third never answers in time; eleven tensors in several slices; what nothing reads any more is deleted at once.
    static readonly RunSettings Settings = new(Tiny.Options with { ClientsPerRound = 2, Rounds = 2 }) { OverSelection = 0.5, SliceBytes = 1500, KeptRounds = 1, BlobGrace = TimeSpan.Zero };

    readonly WorkerPool pool = new(1);
    readonly Dictionary<string, ReadOnlyMemory<byte>> answers = [];

    public void Dispose() => pool.Dispose();

    /// <summary>Runs as many schedules.</summary>
    /// <param name="open">A new store for a seed, and what goes with it.</param>
    public void Run(int seeds, Func<int, (IRunStore? Store, IDisposable? Own)> open)
    {
        (string, Func<byte[], ReadOnlyMemory<byte>>)[] clients = Clients();
        float[] undisturbed;
        string[] facts;
        int calls;
        using (RunFolder whole = new(Settings))
        {
            using FaultyStore counting = new(whole.Store, int.MaxValue, after: false);
            Coordinator coordinator = whole.Open(counting);
            whole.Drive(coordinator, clients);
            undisturbed = RunFolder.Numbers(coordinator);
            (calls, facts) = (counting.Calls, Facts(whole.Store));
        }
        Assert.InRange(calls, 80, 2000);

        int deaths = 0, refusals = 0;
        Parallel.For(0, seeds, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount + 1 }, seed =>
        {
            Random random = new(seed);
            (IRunStore? store, IDisposable? own) = open(seed);
            using (own)
            using (RunFolder folder = new(Settings, store: store))
            {
                Disturbance disturbance = new(folder, clients, random);
                // The first death is spread over the whole run, later ones come as they come.
                int next = 1 + (calls - 1) * seed / (seeds - 1);
                for (bool done = false; !done;)
                    try
                    {
                        Coordinator coordinator = disturbance.Drive(new FaultyStore(folder.Store, next, random.Next(2) == 0));
                        Assert.True(undisturbed.AsSpan().SequenceEqual(RunFolder.Numbers(coordinator)), $"seed {seed}: another model");
                        Assert.Equal(facts, Facts(folder.Store));
                        Assert.Empty(Directory.GetFiles(folder["uploads"], "*[0-9]"));
                        Assert.Equal(folder.Store.Blobs().Order(StringComparer.Ordinal), Directory.GetFiles(folder["blobs"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
                        done = true;
                    }
                    catch (DeathException)
                    {
                        Interlocked.Increment(ref deaths);
                        next = 1 + random.Next(calls / 2);
                    }
                Interlocked.Add(ref refusals, disturbance.Refusals);
            }
        });
        Assert.True(deaths > seeds, $"{deaths} deaths in {seeds} runs");
        Assert.True(refusals > seeds, $"{refusals} requests were refused in {seeds} runs");
    }

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

    // Who answered what in each round, and what that counted.
    static string[] Facts(IRunStore store) => [.. store.Rounds(store.FindRun()!.Id).SelectMany(round => store.Answers(round.Id).Select(answer =>
        $"{round.Number} {round.State} {round.Model} {answer.Assignment.Client} {answer.Assignment.State} {answer.Assignment.BytesUp} {answer.Update?.Blob}"))];
}
