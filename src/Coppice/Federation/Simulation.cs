using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Coppice.Federation.Privacy;
using Coppice.Federation.Secure;
using Coppice.Federation.Strategies;
using Coppice.Federation.Voting;
using Coppice.Federation.Widths;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>A whole federated run with one caller: every round asks its clients one after the other, with faults by seed.</summary>
public static class Simulation
{
    /// <summary>Trains <paramref name="model"/> in place and returns what happened in every round, those of an earlier call that the journal holds included. Matrices that trained as integers are stored as those, pruned ones sparsely.</summary>
    /// <param name="journal">Where the run is kept; stopped at any moment and called again with the same arguments, it ends with the bytes of an undisturbed run. The clients must keep their state there as well.</param>
    /// <exception cref="CoppiceException">An option cannot be, two clients have one name, a round is left without any update, or the journal is of another run.</exception>
    /// <exception cref="ClientStorageException">A client's state could not be kept; the journal has the last closed round, and the same call goes on from there.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; with a journal, at most the local training in hand is lost.</exception>
    public static ImmutableArray<RoundRecord> Run(DecoderModel model, IReadOnlyList<IClientChannel> clients, FederatedOptions options, RunJournal? journal = null,
        IProgress<RoundRecord>? progress = null, CancellationToken cancel = default) => Run(model, clients, options, null, journal, progress, cancel);

    /// <summary>The same with secure aggregation among clients of a network.</summary>
    /// <exception cref="CoppiceException">As above; or no attempt at a round came to a sum.</exception>
    public static ImmutableArray<RoundRecord> Run(DecoderModel model, IReadOnlyList<IClientChannel> clients, FederatedOptions options, SecureHosting? hosting, RunJournal? journal,
        IProgress<RoundRecord>? progress = null, CancellationToken cancel = default)
    {
        if (Training.Lora.Adapted(model).Count > 0)
            throw new CoppiceException("Federation: adapters in training are a step of a recipe, which adds them to the matrices");
        IReadOnlySet<string> pruned = TrainedNumbers.PrunedNames(model, options.Training);
        (ImmutableArray<RoundRecord> records, ParameterSet numbers) = RunToEnd(model, clients, options, hosting, journal, progress, cancel);
        if (options.Training.Pruning is null && options.Training.Quantization is null)
            return records;
        using WorkerPool pool = new(1);
        TrainedNumbers.Store(model, numbers, pruned, options.WholeTraining, pool);
        return records;
    }

    /// <summary>The same, and the trained numbers, which with integers are more than the model's. Of a model with adapters these alone train.</summary>
    internal static (ImmutableArray<RoundRecord> Records, ParameterSet Numbers) RunToEnd(DecoderModel model, IReadOnlyList<IClientChannel> clients, FederatedOptions options, SecureHosting? hosting, RunJournal? journal,
        IProgress<RoundRecord>? progress, CancellationToken cancel)
    {
        options.Validate(model.Config);
        Dictionary<string, IClientChannel> channels = Channels(clients, options);
        if (options.Strategy is FedBuff)
            return (AsyncSimulation.Run(model, channels, options, journal, progress, cancel), ParameterSet.Copy(model));
        int count = options.ClientsPerRound == 0 ? channels.Count : options.ClientsPerRound;

        IReadOnlyDictionary<string, Tensor> masks = TrainedNumbers.Masks(model, options.Training);
        Beside beside = Beside.Of(model, options);
        ParameterSet current = TrainedNumbers.Of(model, options.Training);
        IReadOnlyDictionary<string, SubModel>? parts = options.Widths?.Deal(model, channels.Keys, options.Seed);
        if (parts is not null && beside.Adapters is not null)
            throw new CoppiceException("Federation: clients of different widths, and adapters, which stand beside whole matrices; wanted one of the two");
        string run = Signature(model.Config, current, beside, channels.Keys, options);
        ImmutableArray<RoundRecord> records = [];
        PersonalTensors.Check(options.Personal, current);
        ParameterSet? state = ServerState.New(options, PersonalTensors.Shared(options.Personal, current), TrainedNumbers.MovingMasks(model, options.Training));
        if (journal?.Load(run, current, state) is { } saved)
            (current, state, records) = saved;
        PrivacyLedger? ledger = options.Privacy is null ? null : PrivacyLedger.Open(journal?.LedgerFile, options.Privacy);
        while (records.Length < options.Rounds)
        {
            int index = records.Length + 1;
            Round round = new(run, index, model.Config, current, options, state, beside) { ClientCount = channels.Count, Ledger = ledger, Parts = parts };
            round.Charge();
            IReadOnlyList<string> drawn = Draw(run, index, [.. channels.Keys], count, options, ledger);
            if (options.Secure is not null)
                SecureRound.Run(round, run, index, [.. drawn.Select(client => channels[client])], options, hosting, journal, cancel);
            else
                Ask(round, index, [.. drawn.Select(client => channels[client])], options, cancel);
            (current, RoundRecord record) = round.Close();
            TrainedNumbers.Clear(current, masks);
            state = round.State;
            records = records.Add(record);
            journal?.Save(run, current, state, records);
            progress?.Report(record);
        }
        TrainedNumbers.CopyTo(current, model);
        return (records, current);
    }

    /// <summary>The clients by name, once options and names are known to be right.</summary>
    internal static Dictionary<string, IClientChannel> Channels(IReadOnlyList<IClientChannel> clients, FederatedOptions options)
    {
        options.Validate();
        Dictionary<string, IClientChannel> channels = new(StringComparer.Ordinal);
        foreach (IClientChannel client in clients)
            if (!channels.TryAdd(client.Client, client))
                throw new CoppiceException($"Federation: two clients are named '{client.Client}'");
        return options.ClientsPerRound <= channels.Count && channels.Count > 0
            ? channels
            : throw new CoppiceException($"Federation: {options.ClientsPerRound} clients a round of {channels.Count}");
    }

    // Whoever knows the draw can tell whose rounds a client's were not, which is what amplification rests on; so with privacy it comes from the ledger's secret.
    static IReadOnlyList<string> Draw(string run, int round, string[] clients, int count, FederatedOptions options, PrivacyLedger? ledger)
    {
        if (options.Participation == 0)
            return options.Strategy.Select(clients, count, round, options.Seed);
        if (ledger is null)
            return PoissonSampling.Draw(clients, options.Participation, Seeds.Generator(options.Seed, "select", round).NextDouble);
        using KeyedRandom random = ledger.Random(run, round, "select");
        return PoissonSampling.Draw(clients, options.Participation, random.NextUniform);
    }

    static void Ask(Round round, int index, IReadOnlyList<IClientChannel> channels, FederatedOptions options, CancellationToken cancel)
    {
        List<IClientChannel> here = [];
        foreach (IClientChannel channel in channels)
            if (Seeds.Generator(options.Seed, "dropout", index, channel.Client).NextDouble() >= options.Dropout)
                here.Add(channel);
            else
            {
                round.TaskFor(channel.Client);
                round.Drop(channel.Client, "did not answer (simulated)");
            }
        foreach ((IClientChannel channel, ReadOnlyMemory<byte> answer, string? fault) in Exchanges.All(here, Pace.Work, channel => round.TaskFor(channel.Client), cancel))
            try
            {
                if (fault is null)
                    round.Accept(channel.Client, answer);
                else
                    round.Drop(channel.Client, fault);
            }
            catch (CoppiceException error)
            {
                round.Drop(channel.Client, error.Message);
            }
    }

    // Names a run by all that decides its result: another model, other clients or another option is another run.
    internal static string Signature(DecoderConfig config, ParameterSet model, Beside beside, IEnumerable<string> clients, FederatedOptions options)
    {
        using IncrementalHash sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(SafeTensorsWriter.ToBytes([.. model.Sources(DType.F32), .. beside.Tensors]));
        sha.AppendData(Encoding.UTF8.GetBytes(FormattableString.Invariant(
            $"{config}|{options.Rounds}|{options.ClientsPerRound}|{options.LocalSteps}|{options.Strategy.Name}|{options.Codec.Name}|{options.Download}|{options.Dropout}|{options.Seed}|{options.EvaluationWindows}|")));
        sha.AppendData(Encoding.UTF8.GetBytes(FormattableString.Invariant($"{options.Participation}|{options.Robust?.Name}|{options.Privacy?.Name}|{string.Join(',', options.Personal)}|{options.FreshClients}|{options.Secure?.Name}|{options.Widths?.Name}|{(options.Training.Pruning is { } pruning ? MaskSchedule.NameOf(pruning) : "")}|")));
        sha.AppendData(JsonSerializer.SerializeToUtf8Bytes(LocalTraining.Of(options.Training), FederationJson.Default.LocalTraining));
        foreach (string client in clients.Order(StringComparer.Ordinal))
            sha.AppendData(Encoding.UTF8.GetBytes("|" + client));
        return Convert.ToHexStringLower(sha.GetHashAndReset());
    }
}
