using System.Collections.Immutable;
using System.Diagnostics;
using System.Numerics.Tensors;
using System.Text.Json;
using Coppice.Federation.Codecs;
using Coppice.Federation.Privacy;
using Coppice.Federation.Secure;
using Coppice.Federation.Voting;
using Coppice.Federation.Widths;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation;

/// <summary>One round as the server sees it: tasks out, updates in, the next model at the end. It is the same whether clients are in this process or across a network.</summary>
public sealed class Round
{
    readonly string run;
    readonly int index;
    readonly FederatedOptions options;
    readonly ParameterSet model, shared;
    readonly Beside beside;
    readonly Share whole;
    readonly Dictionary<SubModel, Share> narrower = [];
    readonly ParameterSet? masks;
    readonly LocalMasks? asksOfMasks;
    readonly Tensor? book;
    readonly SortedDictionary<string, BookSums> bookSums = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, Ballot> votes = new(StringComparer.Ordinal);
    MaskRecord? maskRecord;
    readonly long started = Stopwatch.GetTimestamp();
    readonly HashSet<string> asked = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, (ClientRecord Record, WeightedUpdate Update)> answered = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, string> dropped = new(StringComparer.Ordinal);
    (SecureMean Mean, SecureRecord Record, ClientRecord[] Clients)? secure;
    string? lost;
    long bytesUp, bytesDown, numbersUp, numbersDown;

    // What a client gets and sends an update of: all of the model, or a part.
    sealed record Share(SubModel? Part, JsonElement Config, ParameterSet Shared, byte[] Download, long NumbersUp, long NumbersDown);

    /// <summary>Opens round <paramref name="index"/> (1-based) of a run over the model with these sizes and numbers.</summary>
    /// <param name="run">The run's name.</param>
    /// <param name="index">1-based.</param>
    /// <param name="config">The model's sizes.</param>
    /// <param name="model">The model's numbers.</param>
    /// <param name="options">The run's options.</param>
    /// <param name="state">What the server kept from the last round, <see cref="State"/>; null at the first. It is not changed.</param>
    public Round(string run, int index, DecoderConfig config, ParameterSet model, FederatedOptions options, ParameterSet? state = null)
        : this(run, index, config, model, options, state, Beside.Nothing)
    {
    }

    internal Round(string run, int index, DecoderConfig config, ParameterSet model, FederatedOptions options, ParameterSet? state, Beside beside)
    {
        this.beside = beside;
        (this.run, this.index, this.model, this.options) = (run, index, model, options);
        PersonalTensors.Check(options.Personal, model);
        shared = PersonalTensors.Shared(options.Personal, model);
        ParameterSet? fresh = ServerState.New(options, shared, ServerState.Masks(state));
        if (state is null && fresh is not null && index > 1)
            throw new CoppiceException($"Round {index}: strategy '{options.Strategy.Name}' goes on from what the server kept in round {index - 1}, which is not there");
        State = state is null ? fresh : fresh!.Map((name, like) => Tensor.From(like.Shape, state.Tensors[name].Data));
        if (options.Training.Pruning is { } pruning)
        {
            masks = ServerState.Masks(State) ?? throw new CoppiceException($"Round {index}: pruning goes on from masks, which are not there");
            asksOfMasks = MaskSchedule.Ask(pruning, index, options.Rounds, options.LocalSteps, masks);
        }
        book = options.Codec is SharedProductCodec ? ServerState.Book(State) ?? throw new CoppiceException($"Round {index}: codec '{options.Codec.Name}' goes on from a codebook, which is not there") : null;
        whole = ShareOf(null, config);
    }

    Share ShareOf(SubModel? part, DecoderConfig config)
    {
        ParameterSet own = part?.Take(model) ?? model;
        ParameterSet sent = masks is null ? own : MaskedNumbers.Pack(own, masks);
        byte[] download = SafeTensorsWriter.ToBytes([.. sent.Sources(options.DownloadType), .. masks is null ? [] : MaskedNumbers.Sources(masks), .. book is null ? [] : new[] { TensorSource.Floats(SharedProductCodec.TensorName, DType.F32, book) }, .. beside.Tensors, .. options.Strategy.UsesControl ? ServerState.Control(State!).Sources(DType.F32) : []]);
        ParameterSet averaged = part is null ? shared : PersonalTensors.Shared(options.Personal, own);
        return new Share(part, RoundTask.WriteConfig(config, options.DownloadType), masks is null ? averaged : MaskedNumbers.Pack(averaged, masks), download, averaged.Count, own.Count + beside.Count);
    }

    Share ShareOf(string client)
    {
        if (Parts?.GetValueOrDefault(client) is not { } part)
            return whole;
        if (!narrower.TryGetValue(part, out Share? own))
            narrower.Add(part, own = ShareOf(part, part.Config));
        return own;
    }

    /// <summary>What the server keeps besides the model: as it was given, and after <see cref="Close"/> for the next round. Null where the run keeps nothing.</summary>
    public ParameterSet? State { get; }

    /// <summary>Clients in the run, where a result depends on it: with control variates, and with noise for clients that take part by chance.</summary>
    public int ClientCount { get; init; }

    /// <summary>The part of the model that a client trains, for those who do not train all of it.</summary>
    internal IReadOnlyDictionary<string, SubModel>? Parts { get; init; }

    /// <summary>What privacy is charged to; wanted where the options ask for privacy.</summary>
    public PrivacyLedger? Ledger { get; init; }

    /// <summary>The message that asks a client to take part.</summary>
    public ReadOnlyMemory<byte> TaskFor(string client) => Asked(client, Message.Write(Task(run, index, client, ShareOf(client).Config, options, beside, asksOfMasks), FederationJson.Default.RoundTask, ShareOf(client).Download));

    /// <summary>The same behind what begins an attempt at secure aggregation.</summary>
    internal ReadOnlyMemory<byte> TaskFor(string client, SecureSetup setup) =>
        Asked(client, Message.Write(setup, FederationJson.Default.SecureSetup, Task(run, index, client, whole.Config, options, beside), FederationJson.Default.RoundTask, whole.Download));

    byte[] Asked(string client, byte[] message)
    {
        asked.Add(client);
        bytesDown += message.Length;
        numbersDown += ShareOf(client).NumbersDown;
        return message;
    }

    /// <summary>What clients send updates of.</summary>
    internal ParameterSet Shared => shared;

    /// <summary>The control part of that message.</summary>
    internal static RoundTask Task(string run, int index, string client, JsonElement config, FederatedOptions options, Beside beside, LocalMasks? masks = null) =>
        new(RoundTask.CurrentFormat, run, index, client, options.Codec.Name, options.Seed, options.LocalSteps, (index - 1) * options.LocalSteps,
            options.EvaluationWindows, LocalTraining.Of(options.WholeTraining), options.Rules, beside.Adapters, beside.Teacher, masks, config);

    /// <summary>Takes a client's answer, which is not trusted.</summary>
    /// <exception cref="CoppiceException">It is refused; the message names the client and the reason. The round goes on.</exception>
    public void Accept(string client, ReadOnlyMemory<byte> message)
    {
        bytesUp += message.Length;
        numbersUp += ShareOf(client).NumbersUp;
        string name = $"update of client '{client}' in round {index}";
        if (!asked.Contains(client) || answered.ContainsKey(client))
            throw FormatError.At(name, "was not asked for, or came before");
        (ClientRecord record, ParameterSet values, Ballot? vote, BookSums? sums) = Read(name, client, message);
        if (vote is not null)
            votes.Add(client, vote);
        if (sums is not null)
            bookSums.Add(client, sums);
        answered.Add(client, (record, new WeightedUpdate(client, record.Samples, values) { Part = ShareOf(client).Part }));
    }

    /// <summary>Takes what secure aggregation gave in place of single updates.</summary>
    /// <param name="clients">Whose updates are in the sum.</param>
    /// <param name="bytes">Bytes of every client that sent any.</param>
    internal void AcceptSum(IReadOnlyList<string> clients, IReadOnlyDictionary<string, long> bytes, SecureMean mean, SecureRecord record)
    {
        bytesUp += bytes.Values.Sum();
        numbersUp += clients.Count * shared.Count;
        secure = (mean, record, [.. clients.Select(client => new ClientRecord(client, 0, double.NaN, double.NaN, double.NaN, bytes[client]))]);
    }

    /// <summary>Counts bytes to a client besides its task.</summary>
    internal void CountDown(long bytes) => bytesDown += bytes;

    /// <summary>An update's numbers, its part in the record, its vote on masks where one was asked for, and what it says for a shared codebook.</summary>
    internal (ClientRecord Record, ParameterSet Values, Ballot? Vote, BookSums? Sums) Read(string name, string client, ReadOnlyMemory<byte> message)
    {
        ClientUpdate update = ClientUpdate.Read(name, message, run, index, client, options.Codec.Name, out ReadOnlyMemory<byte> tensors);
        using SafeTensors encoded = SafeTensors.Read(name, tensors);
        Share own = ShareOf(client);
        Ballot? vote = asksOfMasks is { Votes: true } ? MaskVotes.Read(encoded, asksOfMasks, masks!) : null;
        using SafeTensors coded = encoded.Part(tensor => vote is null || tensor != MaskVotes.TensorName);
        SharedProductCodec? sharing = book is null ? null : ((SharedProductCodec)options.Codec).With(book);
        ParameterSet values = (sharing ?? options.Codec).Decode(coded, own.Shared);
        double norm = options.Codec.Kind == UpdateKind.Weights ? values.DistanceTo(own.Shared) : values.Norm();
        return (new ClientRecord(client, update.Samples, update.LossBefore, update.LossAfter, norm, message.Length, own.Part?.Width ?? 1), masks is null ? values : MaskedNumbers.Unpack(values, masks), vote, sharing?.Sums);
    }

    /// <summary>Goes on without a client.</summary>
    public void Drop(string client, string reason) => dropped[client] = reason;

    /// <summary>Leaves the round without a result: the next model is this one's.</summary>
    internal void Lose(string reason) => lost = reason;

    /// <summary>Ends the round: the next model and what happened.</summary>
    /// <exception cref="CoppiceException">No client's update was accepted (but where chance asked none; with central privacy, noise alone is a result), a robust rule has too few, the privacy budget would be passed, or the result is not finite.</exception>
    public (ParameterSet Model, RoundRecord Record) Close()
    {
        if (lost is not null)
            return (model, Record(Charge()));
        if (secure is { } sum)
        {
            WeightedUpdate mean = new("", 1, ParameterRow.ToSet(sum.Mean.Mean, shared));
            return (Merged(index, model, options.Strategy.Aggregate(shared, UpdateKind.Delta, [mean], new AggregationContext(ClientCount, sum.Clients.Length, options.RateSum(index), State))), Record(Charge()));
        }
        bool isNoisy = options.Privacy is { Place: PrivacyPlace.Central };
        if (answered.Count == 0 && !isNoisy && (asked.Count > 0 || options.Participation == 0))
            throw new CoppiceException($"Round {index}: no update from any of its {asked.Count} clients{(dropped.Count == 0 ? "" : ": ")}{DroppedClient.Reasons(dropped.Select(part => new DroppedClient(part.Key, part.Value)))}");
        double? epsilon = Charge();
        if ((options.Strategy.UsesControl || isNoisy && options.Participation > 0) && ClientCount < Math.Max(1, answered.Count))
            throw new CoppiceException($"Round {index}: its result depends on the number of clients in the run, which is given as {ClientCount}");
        if (answered.Count == 0 && !isNoisy)
            return (model, Record(epsilon));
        UpdateKind kind = options.Codec.Kind;
        WeightedUpdate[] updates = [.. answered.Values.Select(part => part.Update)];
        if (options.Robust is not null || isNoisy)
            (updates, kind) = ([Combined([.. updates.Select(update => update with { Values = AsDelta(update.Values) })])], UpdateKind.Delta);
        ParameterSet next = options.Strategy.Aggregate(shared, kind, updates, new AggregationContext(ClientCount, answered.Count, options.RateSum(index), State));
        ParameterSet merged = Merged(index, model, next);
        if (masks is not null)
            Prune(merged);
        if (book is not null)
            SharedProductCodec.Step([.. bookSums.Values], book);
        return (merged, Record(epsilon));
    }

    // The masks of the next round, as clients voted, and what they do not keep is 0.
    void Prune(ParameterSet merged)
    {
        long went = 0, came = 0;
        for (int i = 0; i < asksOfMasks!.Keep.Length; i++)
        {
            string name = asksOfMasks.Names[i];
            Tensor mask = masks!.Tensors[name], before = Tensor.From(mask.Shape, mask.Data);
            MaskVotes.Count([.. votes.Select(own => ((double)answered[own.Key].Record.Samples, own.Value.Votes[i]))], merged.Tensors[name].Data, asksOfMasks.Keep[i], asksOfMasks.Grow[i], mask);
            for (int j = 0; j < mask.Shape.Length; j++)
            {
                went += before.Data[j] > mask.Data[j] ? 1 : 0;
                came += before.Data[j] < mask.Data[j] ? 1 : 0;
            }
        }
        TrainedNumbers.Clear(merged, masks!.Tensors);
        long kept = masks.Tensors.Values.Sum(mask => (long)mask.Shape.Length - mask.Data.Count(0f));
        maskRecord = new MaskRecord(1 - (double)kept / masks.Count, went, came, votes.Values.Sum(own => own.Bytes), MaskedNumbers.Sources(masks).Sum(source => source.ByteCount));
    }

    /// <summary>The next model: what was averaged, and the rest as it was.</summary>
    /// <exception cref="CoppiceException">A number is not finite.</exception>
    internal static ParameterSet Merged(int index, ParameterSet model, ParameterSet next)
    {
        foreach ((string name, Tensor tensor) in next.Tensors)
            if (!float.IsFinite(TensorPrimitives.MaxMagnitude<float>(tensor.Data)))
                throw new CoppiceException($"Round {index}: the average of tensor '{name}' is not finite");
        return model.Map((name, current) => next.Tensors.GetValueOrDefault(name) ?? current);
    }

    /// <summary>Decoded numbers as a change of the round's model.</summary>
    internal ParameterSet AsDelta(ParameterSet values) => options.Codec.Kind == UpdateKind.Weights ? values.Minus(shared) : values;

    /// <summary>A delta as the numbers that it leads to.</summary>
    internal ParameterSet Trained(ParameterSet delta) => delta.Map((name, tensor) =>
    {
        Tensor trained = new(tensor.Shape);
        TensorPrimitives.Add<float>(tensor.Data, shared.Tensors[name].Data, trained.Data);
        return trained;
    });

    /// <summary>Charges the round to the privacy ledger, once, and returns epsilon with it; null without privacy. Done before clients are asked, a round over budget costs them nothing; <see cref="Close"/> does it in any case.</summary>
    /// <exception cref="CoppiceException">It would pass the budget.</exception>
    public double? Charge()
    {
        if (options.Privacy is not { } privacy)
            return null;
        (double probability, double noise) = privacy.Place == PrivacyPlace.Distributed
            ? (1, DistributedNoise.Charged(options.Secure!.With(privacy), ParameterRow.LengthOf(shared), ClientCount))
            : privacy.Cost(options.Participation);
        return Ledger is null ? throw new CoppiceException($"Round {index}: privacy without a ledger to charge it to") : Ledger.Charge(run, index, probability, noise);
    }

    WeightedUpdate Combined(WeightedUpdate[] deltas)
    {
        if (options.Robust is not null)
            return new WeightedUpdate("", 1, options.Robust.Combine(deltas));
        PrivacyOptions privacy = options.Privacy!;
        double clip = ServerState.Clip(State, privacy), expected = options.Participation > 0 ? options.Participation * ClientCount : asked.Count;
        using KeyedRandom noise = Ledger!.Random(run, index, "noise");
        ParameterSet average = GaussianMechanism.Average(shared, deltas, clip, privacy.SumNoise, expected, noise);
        if (privacy.Quantile > 0)
            ServerState.SetClip(State!, GaussianMechanism.NextClip(clip, deltas, privacy, expected, noise));
        return new WeightedUpdate("", 1, average);
    }

    RoundRecord Record(double? epsilon)
    {
        ImmutableArray<ClientRecord> clients = secure is { } sum ? [.. sum.Clients] : [.. answered.Values.Select(part => part.Record)];
        double samples = clients.Sum(client => (double)client.Samples);
        return new RoundRecord(index, clients, [.. dropped.Select(part => new DroppedClient(part.Key, part.Value))],
            bytesUp, bytesDown, 4 * numbersUp, 4 * numbersDown,
            secure?.Mean.LossBefore ?? clients.Sum(client => client.Samples * client.LossBefore) / samples, secure?.Mean.LossAfter ?? clients.Sum(client => client.Samples * client.LossAfter) / samples,
            Stopwatch.GetElapsedTime(started).TotalSeconds, epsilon, secure?.Record, lost, maskRecord);
    }
}
