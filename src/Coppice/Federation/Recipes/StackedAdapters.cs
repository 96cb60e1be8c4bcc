using System.Collections.Immutable;
using System.Diagnostics;
using Coppice.Federation.Strategies;
using Coppice.Federation.Widths;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Federation.Recipes;

/// <summary>
/// LoRA with clients whose changes are stacked (FLoRA, Wang et al. 2024): [p_1 B_1 ... p_n B_n] times A_1 over ... over A_n is the mean of the clients' products, which the product of mean factors is not, and their ranks may differ. In each
/// round every client gets the model and factors of its own, A by lot and B 0; the mean of what they become is added to the matrices, and the next round begins with new factors.
/// </summary>
static class StackedAdapters
{
    /// <summary>W [outputs, inputs] += scale sum_k p_k B_k A_k, for A_k [rank k, inputs] and B_k [outputs, rank k]; in double, rounded once.</summary>
    public static void Fold(IReadOnlyList<(double Share, Tensor A, Tensor B)> factors, double scale, Tensor weights)
    {
        int inputs = weights.Shape[1];
        double[] row = new double[inputs];
        for (int output = 0; output < weights.Shape[0]; output++)
        {
            Span<float> target = weights.Data.Slice(output * inputs, inputs);
            for (int j = 0; j < inputs; j++)
                row[j] = target[j];
            foreach ((double share, Tensor a, Tensor b) in factors)
                for (int k = 0; k < a.Shape[0]; k++)
                {
                    double factor = scale * share * b.Data[output * a.Shape[0] + k];
                    ReadOnlySpan<float> direction = a.Data.Slice(k * inputs, inputs);
                    for (int j = 0; j < inputs; j++)
                        row[j] += factor * direction[j];
                }
            for (int j = 0; j < inputs; j++)
                target[j] = (float)row[j];
        }
    }

    /// <summary>Trains a model that has adapters; what they come to is in its matrices then, and they change nothing.</summary>
    /// <param name="ranks">Ranks of clients' factors; null gives all the rank of the model's.</param>
    /// <exception cref="CoppiceException">An option cannot be, a rank is higher than a matrix has, or a round is left without any update.</exception>
    public static ImmutableArray<RoundRecord> Run(DecoderModel model, IReadOnlyList<IClientChannel> clients, FederatedOptions options, ClientRanks? ranks, RunJournal? journal, IProgress<RoundRecord>? progress, CancellationToken cancel)
    {
        options = options with { FreshClients = true };
        if (options.Strategy is not (FedAvg or FedProx) || options.Robust is not null || options.Privacy is not null || options.Secure is not null || options.Widths is not null || options.Participation > 0 || !options.Personal.IsEmpty)
            throw new CoppiceException("Federation: changes that are stacked are a plain mean of all; wanted strategy fedavg or fedprox, and neither robust rules, privacy, secure aggregation, widths, participation by chance nor personal tensors");
        options.Validate(model.Config);
        Dictionary<string, IClientChannel> channels = Simulation.Channels(clients, options);
        (string Name, Linear Layer)[] adapted = [.. Lora.Adapted(model)];
        LowRankAdapter first = adapted[0].Layer.Adapter!;
        IReadOnlyDictionary<string, int> dealt = ranks?.Deal(channels.Keys, options.Seed) ?? channels.Keys.ToDictionary(client => client, _ => first.A.Shape[0]);
        foreach ((string name, Linear layer) in adapted)
            if (dealt.Values.Max() is var highest && highest > Math.Min(layer.Weight.Rows, layer.Weight.Columns))
                throw new CoppiceException($"LoRA: rank {highest}, but {name} is {layer.Weight.Shape}, which has no higher rank than {Math.Min(layer.Weight.Rows, layer.Weight.Columns)}");

        IReadOnlyDictionary<string, Tensor> masks = TrainedNumbers.Masks(model, options.Training);
        ParameterSet current = ParameterSet.Copy(model);
        string run = Simulation.Signature(model.Config, current, Beside.Nothing, channels.Keys, options) + "-stacked" + string.Concat(dealt.OrderBy(part => part.Key, StringComparer.Ordinal).Select(part => FormattableString.Invariant($"-{part.Value}")));
        ImmutableArray<RoundRecord> records = [];
        if (journal?.Load(run, current, null) is { } saved)
            (current, _, records) = saved;
        while (records.Length < options.Rounds)
        {
            StackedRound round = new(run, records.Length + 1, model.Config, current, adapted, first.Scale, dealt, options);
            IReadOnlyList<string> drawn = options.Strategy.Select([.. channels.Keys], options.ClientsPerRound == 0 ? channels.Count : options.ClientsPerRound, round.Index, options.Seed);
            records = records.Add(round.Play([.. drawn.Select(client => channels[client])], cancel));
            TrainedNumbers.Clear(current, masks);
            journal?.Save(run, current, null, records);
            progress?.Report(records[^1]);
        }
        foreach ((string name, Linear layer) in adapted)
        {
            layer.Weight = new DenseWeight(current.Tensors[name + ".weight"]);
            layer.Adapter!.B.Data.Clear();
        }
        return records;
    }
}

/// <summary>One such round: it changes the matrices of <paramref name="current"/>.</summary>
sealed class StackedRound(string run, int index, DecoderConfig config, ParameterSet current, IReadOnlyList<(string Name, Linear Layer)> adapted, float scale, IReadOnlyDictionary<string, int> ranks, FederatedOptions options)
{
    const string Inputs = ".lora_A.weight", Outputs = ".lora_B.weight";

    readonly Dictionary<string, Round> rounds = new(StringComparer.Ordinal);
    readonly List<(ClientRecord Record, ParameterSet Factors)> answered = [];
    readonly List<DroppedClient> dropped = [];
    readonly long started = Stopwatch.GetTimestamp();
    long bytesUp, bytesDown, numbersUp, numbersDown;

    /// <summary>1-based.</summary>
    public int Index => index;

    /// <summary>Asks clients and adds the mean of their changes.</summary>
    /// <exception cref="CoppiceException">None answered.</exception>
    public RoundRecord Play(IReadOnlyList<IClientChannel> channels, CancellationToken cancel)
    {
        List<IClientChannel> here = [];
        foreach (IClientChannel channel in channels)
            if (Seeds.Generator(options.Seed, "dropout", index, channel.Client).NextDouble() >= options.Dropout)
                here.Add(channel);
            else
                dropped.Add(new DroppedClient(channel.Client, "did not answer (simulated)"));
        foreach ((IClientChannel channel, ReadOnlyMemory<byte> answer, string? fault) in Exchanges.All(here, Pace.Work, channel => Ask(channel.Client), cancel))
            try
            {
                if (fault is not null)
                    throw new CoppiceException(fault);
                Take(channel.Client, answer);
            }
            catch (CoppiceException error)
            {
                dropped.Add(new DroppedClient(channel.Client, error.Message));
            }
        if (answered.Count == 0)
            throw new CoppiceException($"Round {index}: no update from any of its {channels.Count} clients: {DroppedClient.Reasons(dropped)}");
        double samples = answered.Sum(part => (double)part.Record.Samples);
        foreach ((string name, _) in adapted)
            StackedAdapters.Fold([.. answered.OrderBy(part => part.Record.Client, StringComparer.Ordinal).Select(part => (part.Record.Samples / samples, part.Factors.Tensors[name + Inputs], part.Factors.Tensors[name + Outputs]))],
                scale, current.Tensors[name + ".weight"]);
        return new RoundRecord(index, [.. answered.Select(part => part.Record).OrderBy(record => record.Client, StringComparer.Ordinal)], [.. dropped], bytesUp, bytesDown, 4 * numbersUp, 4 * numbersDown,
            answered.Sum(part => part.Record.Samples * part.Record.LossBefore) / samples, answered.Sum(part => part.Record.Samples * part.Record.LossAfter) / samples, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    ReadOnlyMemory<byte> Ask(string client)
    {
        int rank = ranks[client];
        Random random = Seeds.Generator(options.Seed, "adapters", index, client);
        ParameterSet factors = new(adapted.SelectMany(part => new[] { (part.Name + Inputs, Lora.NewInputs(rank, part.Layer.Weight.Columns, random)), (part.Name + Outputs, new Tensor([part.Layer.Weight.Rows, rank])) }));
        List<TensorSource> tensors = [.. current.Sources(options.DownloadType)];
        LocalTeacher? teacher = LocalTeacher.Of(options, tensors);
        Beside beside = new(tensors, new LocalAdapters([.. adapted.Select(part => part.Name)], rank, (double)scale * rank, FreezesInputs: false), teacher);
        rounds[client] = new Round(run, index, config, factors, options, null, beside);
        ReadOnlyMemory<byte> task = rounds[client].TaskFor(client);
        bytesDown += task.Length;
        numbersDown += factors.Count + beside.Count;
        return task;
    }

    void Take(string client, ReadOnlyMemory<byte> answer)
    {
        rounds.Remove(client, out Round? round);
        bytesUp += answer.Length;
        numbersUp += round!.Shared.Count;
        (ClientRecord record, ParameterSet values, _, _) = round.Read($"update of client '{client}' in round {index}", client, answer);
        answered.Add((record, options.Codec.Kind == UpdateKind.Weights ? values : round.Trained(values)));
    }
}
