using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Coppice.Compression;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Federation.Recipes;

/// <summary>Clients as the holders of a recipe's text: its passes get sums of inputs from them, its training steps are rounds of federated training, and in the end each says what the result costs it.</summary>
public sealed class ClientTexts : ITextHolders
{
    readonly Fleet fleet;
    readonly FleetOptions options;
    readonly IReadOnlyList<IClientChannel> channels, trainers;
    readonly WorkerPool pool;
    readonly string? folder;
    readonly CancellationToken cancel;

    /// <summary>Clients that are reached through channels.</summary>
    /// <param name="channels">One for each client, names differing.</param>
    /// <param name="options">How they take part.</param>
    /// <param name="pool">Threads of the server.</param>
    /// <param name="folder">Where rounds of training are kept until the run ends; null keeps nothing.</param>
    /// <param name="cancel">Stops what is under way.</param>
    /// <exception cref="CoppiceException">An option cannot be, or two clients have one name.</exception>
    public ClientTexts(IReadOnlyList<IClientChannel> channels, FleetOptions options, WorkerPool pool, string? folder, CancellationToken cancel)
    {
        trainers = channels;
        (this.channels, this.options, this.pool, this.folder, this.cancel) = (channels, options, pool, folder, cancel);
        Simulation.Channels(channels, options.Training);
        if (!(options.Dropout is >= 0 and < 1))
            throw new CoppiceException(FormattableString.Invariant($"Federation: dropout is {options.Dropout}, wanted 0 to 1, exclusive"));
        if (options.Ranks is not null && options.Adapters != AdapterAveraging.Stacked)
            throw new CoppiceException("Federation: clients of different ranks, whose factors have no mean; wanted changes that are stacked");
        if (options.For is { } one)
        {
            if (!(options.Others is >= 0 and <= 1))
                throw new CoppiceException(FormattableString.Invariant($"Federation: others count {options.Others}, wanted 0 to 1"));
            trainers = [.. channels.Where(channel => channel.Client == one)];
            if (trainers.Count == 0)
                throw new CoppiceException($"Federation: a result for client '{one}', which is not in the run");
            if (options.Others == 0)
                this.channels = channels = trainers;
        }
        FederatedOptions own = options.Training;
        Signature = string.Create(CultureInfo.InvariantCulture, $"clients {string.Join(", ", channels.Select(channel => channel.Client).Order(StringComparer.Ordinal))}; tokens {options.CalibrationTokens}; context {options.ContextLength}; seed {options.Seed}; dropout {options.Dropout}; ")
            + string.Create(CultureInfo.InvariantCulture, $"local steps {own.LocalSteps}; {own.ClientsPerRound} a round; {own.Strategy.Name}; {own.Codec.Name}; {own.Download}{(options.Adapters == AdapterAveraging.FrozenInputs ? "" : $"; {options.Adapters} {options.Ranks?.Name}")}{(options.For is null ? "" : string.Create(CultureInfo.InvariantCulture, $"; for {options.For}, others {options.Others}"))}");
        fleet = new Fleet(Signature, channels, options);
    }

    /// <inheritdoc/>
    public string Signature { get; }

    /// <summary>What passed so far.</summary>
    public FleetTraffic Traffic => fleet.Traffic;

    /// <summary>Every round of training, step after step.</summary>
    public ImmutableArray<RoundRecord> Rounds { get; private set; } = [];

    /// <inheritdoc/>
    public IInputSource Inputs(Model model) => new ClientInputs((DecoderModel)model, fleet, options, cancel);

    /// <inheritdoc/>
    public (double First, double Last, string How) Train(Model model, TrainingOptions options, int tokens, Model? teacher, IProgress<double>? progress, CancellationToken cancel)
    {
        FederatedOptions own = this.options.Training;
        int clients = own.ClientsPerRound == 0 ? trainers.Count : Math.Min(own.ClientsPerRound, trainers.Count);
        int rounds = Math.Max(1, tokens / (clients * own.LocalSteps * options.TokensPerStep));
        int steps = rounds * own.LocalSteps;
        options = options with { Steps = steps, WarmupSteps = Math.Min(options.WarmupSteps, Math.Max(1, steps / 10)), FreezesAdapterInputs = this.options.Adapters == AdapterAveraging.FrozenInputs };
        own = own with { ClientsPerRound = own.ClientsPerRound == 0 ? 0 : clients, Rounds = rounds, Training = options, Teacher = (DecoderModel?)teacher, Seed = this.options.Seed, Dropout = this.options.Dropout };
        IReadOnlySet<string> pruned = TrainedNumbers.PrunedNames(model, options);
        // Each step of a recipe has a seed of its own.
        RunJournal? journal = folder is null ? null : new RunJournal(Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"training{(uint)options.Seed}")));
        Told told = new(record => progress?.Report((double)record.Round / rounds));
        ImmutableArray<RoundRecord> records;
        if (this.options.Adapters == AdapterAveraging.Stacked && Lora.Adapted(model).Count > 0)
            records = StackedAdapters.Run((DecoderModel)model, trainers, own, this.options.Ranks, journal, told, cancel);
        else
        {
            (records, ParameterSet numbers) = Simulation.RunToEnd((DecoderModel)model, trainers, own, null, journal, told, cancel);
            TrainedNumbers.Store(model, numbers, pruned, options, pool);
        }
        fleet.Count(records);
        Rounds = Rounds.AddRange(records);
        return (records[0].LossBefore, records[^1].LossAfter, string.Create(CultureInfo.InvariantCulture, $"{rounds:N0} rounds of {own.LocalSteps} steps at {clients} clients"));
    }

    /// <summary>What compression costs each client on its own held-out text; a client that does not answer is left out, and in the traffic.</summary>
    /// <param name="first">The base.</param>
    /// <param name="second">What became of it.</param>
    /// <param name="windows">How many windows of the context's length, at most.</param>
    /// <exception cref="CoppiceException">No client answered.</exception>
    public IReadOnlyList<ClientComparison> Compare(DecoderModel first, DecoderModel second, int windows = 32)
    {
        int step = fleet.NextStep();
        JsonElement baseConfig = RoundTask.WriteConfig(first.Config, DType.F32), config = RoundTask.WriteConfig(second.Config, DType.F32);
        byte[] tensors = SafeTensorsWriter.ToBytes([.. WireWeights.Of(first).Select(tensor => tensor with { Name = ComparisonTask.BasePrefix + tensor.Name }),
            .. WireWeights.Of(second).Select(tensor => tensor with { Name = ComparisonTask.CompressedPrefix + tensor.Name })]);
        return fleet.Ask(step, "a comparison", client => Message.Write(Task(client), FederationJson.Default.ComparisonTask, tensors),
            (client, answer) => ComparisonAnswer.Read($"comparison of client '{client}'", answer, Task(client)), cancel);

        ComparisonTask Task(string client) => new(ComparisonTask.CurrentFormat, fleet.Run, client, options.ContextLength, windows, baseConfig, config);
    }

    sealed class Told(Action<RoundRecord> report) : IProgress<RoundRecord>
    {
        public void Report(RoundRecord value) => report(value);
    }
}
