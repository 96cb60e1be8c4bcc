using System.Collections.Immutable;
using System.Diagnostics;
using Coppice.Federation.Strategies;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>
/// A run in which no client waits for another, in virtual time: a client takes 2^g units for a task, g from a normal distribution by seed, and whenever one answers another is asked, with the model as it is then. A round is a
/// change of the model. Answers to a model that has changed since count less (FedBuff). Such a run is short-lived: what is under way is not kept in a journal.
/// </summary>
static class AsyncSimulation
{
    public static ImmutableArray<RoundRecord> Run(DecoderModel model, Dictionary<string, IClientChannel> channels, FederatedOptions options, RunJournal? journal, IProgress<RoundRecord>? progress, CancellationToken cancel)
    {
        FedBuff strategy = (FedBuff)options.Strategy;
        if (journal is not null)
            throw new CoppiceException($"Federation: strategy '{strategy.Name}' keeps no journal; run it without, from beginning to end");
        int active = options.ClientsPerRound == 0 ? channels.Count : options.ClientsPerRound;
        if (strategy.BufferSize > channels.Count)
            throw new CoppiceException($"Federation: {strategy.BufferSize} answers to a step of {channels.Count} clients, and none is asked twice about one model");
        ImmutableArray<RoundRecord> records = [];
        ParameterSet current = ParameterSet.Copy(model);
        PriorityQueue<Pending, (double Time, string Client)> underWay = new();
        HashSet<string> busy = new(StringComparer.Ordinal);
        double time = 0;
        while (records.Length < options.Rounds)
        {
            int index = records.Length + 1;
            Step step = new(index, new Round("async", index, model.Config, current, options));
            Queue<string> idle = new(channels.Keys.OrderBy(client => Seeds.Derive(options.Seed, "select", index, client)));
            while (step.Buffer.Count < strategy.BufferSize)
            {
                cancel.ThrowIfCancellationRequested();
                while (busy.Count < active && NextIdle(idle, busy) is { } client)
                {
                    busy.Add(client);
                    underWay.Enqueue(step.Ask(channels[client], options, cancel), (time + Duration(options.Seed, index, client), client));
                }
                if (!underWay.TryDequeue(out Pending? pending, out (double Time, string Client) place))
                    break;
                time = place.Time;
                busy.Remove(place.Client);
                step.Take(pending, place.Client);
            }
            if (step.Buffer.Count == 0)
                throw new CoppiceException($"Round {index}: no update from any client: {DroppedClient.Reasons(step.Dropped)}");
            ParameterSet next = strategy.Aggregate(PersonalTensors.Shared(options.Personal, current), UpdateKind.Delta, step.Buffer, new AggregationContext(channels.Count, step.Buffer.Count, options.RateSum(index), null));
            current = Round.Merged(index, current, next);
            records = records.Add(step.Record(current.Count));
            progress?.Report(records[^1]);
        }
        current.CopyTo(model);
        return records;
    }

    static string? NextIdle(Queue<string> idle, HashSet<string> busy)
    {
        for (int left = idle.Count; left > 0; left--)
        {
            string client = idle.Dequeue();
            if (!busy.Contains(client))
                return client;
            idle.Enqueue(client);
        }
        return null;
    }

    // 2^g with g normal: one client in six takes twice the median or longer.
    static double Duration(int seed, int round, string client)
    {
        Random random = Seeds.Generator(seed, "duration", round, client);
        return Math.Pow(2, Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
    }

    /// <summary>An answer on its way, or the reason why there is none. Training is done when the client is asked; only its arrival lies in virtual time.</summary>
    sealed record Pending(int Asked, long Bytes, ClientRecord? Client, ParameterSet? Delta, string? Fault);

    /// <summary>One change of the model in the making.</summary>
    sealed class Step(int index, Round round)
    {
        readonly long started = Stopwatch.GetTimestamp();
        readonly List<ClientRecord> clients = [];
        long bytesUp, bytesDown, messagesUp, messagesDown;

        public List<WeightedUpdate> Buffer { get; } = [];

        public List<DroppedClient> Dropped { get; } = [];

        public Pending Ask(IClientChannel channel, FederatedOptions options, CancellationToken cancel)
        {
            ReadOnlyMemory<byte> task = round.TaskFor(channel.Client);
            bytesDown += task.Length;
            messagesDown++;
            if (Seeds.Generator(options.Seed, "dropout", index, channel.Client).NextDouble() < options.Dropout)
                return new Pending(index, 0, null, null, "did not answer (simulated)");
            long length = 0;
            try
            {
                ReadOnlyMemory<byte> answer = channel.Exchange(task, cancel);
                length = answer.Length;
                (ClientRecord record, ParameterSet values, _, _) = round.Read($"update of client '{channel.Client}' in round {index}", channel.Client, answer);
                return new Pending(index, length, record, round.AsDelta(values), null);
            }
            catch (CoppiceException error)
            {
                return new Pending(index, length, null, null, error.Message);
            }
        }

        public void Take(Pending pending, string client)
        {
            bytesUp += pending.Bytes;
            messagesUp += pending.Bytes > 0 ? 1 : 0;
            if (pending.Client is null)
            {
                Dropped.Add(new DroppedClient(client, pending.Fault!));
                return;
            }
            clients.Add(pending.Client);
            // One client may be in a step twice, with answers to two models.
            Buffer.Add(new WeightedUpdate(FormattableString.Invariant($"{client}|{pending.Asked:D9}"), pending.Client.Samples, pending.Delta!, index - pending.Asked));
        }

        public RoundRecord Record(long numbers)
        {
            double samples = clients.Sum(client => (double)client.Samples);
            return new RoundRecord(index, [.. clients], [.. Dropped], bytesUp, bytesDown, 4 * numbers * messagesUp, 4 * numbers * messagesDown,
                clients.Sum(client => client.Samples * client.LossBefore) / samples, clients.Sum(client => client.Samples * client.LossAfter) / samples, Stopwatch.GetElapsedTime(started).TotalSeconds);
        }
    }
}
