using System.Collections.Immutable;
using Coppice.Federation.Strategies;
using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Federation.Virtual;

/// <summary>A federated run in virtual time: the clients and rounds of every other run, among networks and machines that differ, with deadlines, late answers and damage, all by seed. It takes as long as its clients' training does.</summary>
public static class VirtualSimulation
{
    /// <summary>Trains <paramref name="model"/> in place and returns what happened in every round, <see cref="RoundRecord.Seconds"/> being virtual.</summary>
    /// <param name="channels">The clients; any number of them answers at once, so that each has threads of its own.</param>
    /// <param name="threads">How many clients train at once.</param>
    /// <param name="journal">Where the run is kept after each round; stopped and called again with the same arguments, it goes on.</param>
    /// <exception cref="CoppiceException">An option cannot be, two clients have one name, a round has too few updates twice, or the journal is of another run.</exception>
    /// <exception cref="ClientStorageException">A client's state could not be kept; the journal has the last closed round.</exception>
    public static ImmutableArray<RoundRecord> Run(DecoderModel model, IReadOnlyList<IClientChannel> channels, FederatedOptions options, World world, int threads,
        RunJournal? journal = null, IProgress<RoundRecord>? progress = null, CancellationToken cancel = default)
    {
        world.Validate();
        options.Validate(model.Config);
        Dictionary<string, IClientChannel> clients = Simulation.Channels(channels, options);
        if (options.Strategy is FedBuff || options.Privacy is not null || options.Secure is not null || options.Participation > 0 || options.Dropout > 0 || options.Training.Pruning is not null || options.Training.Quantization is not null)
            throw new CoppiceException("Federation: a world of its own goes with neither fedbuff, privacy, secure aggregation, participation by chance, masks that clients vote on, integers in training nor dropout beside its own");
        if (clients.Count < world.Minimum)
            throw new CoppiceException($"Federation: {clients.Count} clients, and a round has no result without {world.Minimum}");
        ParameterSet current = ParameterSet.Copy(model);
        string run = Simulation.Signature(model.Config, current, Beside.Nothing, clients.Keys, options) + Seeds.Derive(0, world.Name, 0).ToString("x8", System.Globalization.CultureInfo.InvariantCulture);
        IReadOnlyDictionary<string, SubModel>? parts = options.Widths?.Deal(model, clients.Keys, options.Seed);
        ImmutableArray<RoundRecord> records = [];
        ParameterSet? state = ServerState.New(options, PersonalTensors.Shared(options.Personal, current));
        if (journal?.Load(run, current, state) is { } saved)
            (current, state, records) = saved;
        int wanted = options.ClientsPerRound == 0 ? clients.Count : options.ClientsPerRound;
        int asked = Math.Max(world.Minimum, (int)Math.Min(clients.Count, Math.Ceiling(wanted * (1 + world.OverSelection))));
        while (records.Length < options.Rounds)
        {
            int index = records.Length + 1;
            Round round = new(run, index, model.Config, current, options, state) { ClientCount = clients.Count, Parts = parts };
            VirtualRound happening = new(round, index, options, world, threads);
            double seconds = happening.Play([.. options.Strategy.Select([.. clients.Keys], asked, index, options.Seed).Select(name => clients[name])], wanted, cancel);
            (current, RoundRecord record) = round.Close();
            state = round.State;
            records = records.Add(record with { Seconds = seconds });
            journal?.Save(run, current, state, records);
            progress?.Report(records[^1]);
        }
        current.CopyTo(model);
        return records;
    }
}
