using System.Globalization;
using System.Runtime.ExceptionServices;
using Coppice.Tensors;

namespace Coppice.Federation.Virtual;

/// <summary>One round in virtual time: who is asked, when each answer arrives, and when the round has seen enough.</summary>
sealed class VirtualRound(Round round, int index, FederatedOptions options, World world, int threads)
{
    readonly List<(double Time, double Trained, string Client, ReadOnlyMemory<byte> Answer)> arriving = [];
    int silent;

    /// <summary>Plays it to its end and returns how long it took. What arrives after the end is late; who cannot arrive before it does not even train.</summary>
    /// <exception cref="CoppiceException">Too few updates at the second deadline.</exception>
    public double Play(IReadOnlyList<IClientChannel> clients, int wanted, CancellationToken cancel)
    {
        PriorityQueue<IClientChannel, (double Time, string Client)> training = new();
        Dictionary<string, ReadOnlyMemory<byte>> tasks = new(StringComparer.Ordinal);
        foreach (IClientChannel channel in clients)
        {
            tasks[channel.Client] = round.TaskFor(channel.Client);
            if (Chance("dropout", channel.Client) < world.Dropout)
                DropSilent(channel.Client, "did not answer (simulated)");
            else
                training.Enqueue(channel, (world.Trained(options.Seed, channel.Client, options.LocalSteps, tasks[channel.Client].Length), channel.Client));
        }
        // In the order in which they will have trained, some at once: whoever comes after the round's end need not.
        List<(IClientChannel Channel, double Trained)> batch = [];
        do
        {
            batch.Clear();
            while (batch.Count < threads && training.TryPeek(out _, out (double Time, string Client) place) && place.Time <= End(wanted))
                batch.Add((training.Dequeue(), place.Time));
            Train(batch, tasks, cancel);
        }
        while (batch.Count > 0);
        while (training.TryDequeue(out IClientChannel? channel, out (double Time, string Client) place))
            DropSilent(channel.Client, Late(place.Time, "trained"));
        return Settle(wanted);
    }

    void Train(List<(IClientChannel Channel, double Trained)> batch, Dictionary<string, ReadOnlyMemory<byte>> tasks, CancellationToken cancel)
    {
        ReadOnlyMemory<byte>[] answers = new ReadOnlyMemory<byte>[batch.Count];
        string?[] faults = new string?[batch.Count];
        ClientStorageException? unkept = null;
        Parallel.For(0, batch.Count, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancel }, i =>
        {
            try
            {
                answers[i] = batch[i].Channel.Exchange(tasks[batch[i].Channel.Client], cancel);
            }
            catch (CoppiceException error)
            {
                faults[i] = error.Message;
            }
            catch (ClientStorageException error)
            {
                // Thrown again where all have ended, as it is.
                unkept = error;
            }
        });
        if (unkept is not null)
            ExceptionDispatchInfo.Throw(unkept);
        for (int i = 0; i < batch.Count; i++)
        {
            string client = batch[i].Channel.Client;
            // A client that fails tells nobody; an answer that is damaged on its way is told by its hash.
            if (faults[i] is { } fault)
                DropSilent(client, fault);
            else if (Chance("corruption", client) < world.Corruption)
                round.Drop(client, "damaged on its way (simulated)");
            else
                arriving.Add((batch[i].Trained + world.Sending(options.Seed, client, answers[i].Length), batch[i].Trained, client, answers[i]));
        }
    }

    // With as many answers as are wanted, at the last of these; else at the deadline, which is moved once where there are too few.
    double End(int wanted)
    {
        double[] times = [.. arriving.Select(answer => answer.Time).Order()];
        double deadline = times.Count(time => time <= world.Deadline) >= world.Minimum ? world.Deadline : 2 * world.Deadline;
        return times.Length >= wanted ? Math.Min(times[wanted - 1], deadline) : deadline;
    }

    double Settle(int wanted)
    {
        double end = End(wanted);
        int taken = 0;
        arriving.Sort((a, b) => (a.Time, a.Client).CompareTo((b.Time, b.Client)));
        foreach ((double time, double trained, string client, ReadOnlyMemory<byte> answer) in arriving)
            if (time > end || taken == wanted)
                DropSilent(client, trained > end ? Late(trained, "trained") : Late(time, "answered"));
            else
            {
                round.Accept(client, answer);
                taken++;
            }
        if (taken < world.Minimum)
            throw new CoppiceException(string.Create(CultureInfo.InvariantCulture, $"Round {index}: {taken} updates after {end:0.#} s, wanted at least {world.Minimum}"));
        // Where everybody has answered there is nobody to wait for.
        return silent == 0 ? Math.Min(end, arriving[^1].Time) : end;
    }

    static string Late(double time, string what) => string.Create(CultureInfo.InvariantCulture, $"late: it would have {what} after {time:0.#} s");

    void DropSilent(string client, string reason)
    {
        silent++;
        round.Drop(client, reason);
    }

    double Chance(string purpose, string client) => Seeds.Generator(options.Seed, purpose, index, client).NextDouble();
}
