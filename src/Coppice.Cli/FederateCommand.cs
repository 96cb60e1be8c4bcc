using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Coppice.Federation;
using Coppice.Federation.Attacks;
using Coppice.Federation.Codecs;
using Coppice.Federation.Privacy;
using Coppice.Federation.Robust;
using Coppice.Federation.Secure;
using Coppice.Federation.Strategies;
using Coppice.Federation.Virtual;
using Coppice.Federation.Voting;
using Coppice.Federation.Widths;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;
using Coppice.Training.Sparse;

namespace Coppice.Cli;

/// <summary>coppice federate, and of it simulate: many clients in this process, through the messages that a network would carry.</summary>
static class FederateCommand
{
    static readonly FederatedOptions Defaults = new();

    static readonly Option<string> Output = new("--output", "-o") { Description = "The folder to write", HelpName = "DIR", Required = true };
    static readonly Option<int> Rounds = Options.Integer("--rounds", "Rounds", Defaults.Rounds, least: 1);
    public static readonly Option<int> PerRound = Options.Integer("--clients-per-round", "Clients drawn a round; 0: all", Defaults.ClientsPerRound);
    public static readonly Option<int> LocalSteps = Options.Integer("--local-steps", "Optimizer steps of a client in a round", Defaults.LocalSteps, least: 1);
    static readonly Option<int> BatchSize = Options.Integer("--batch", "Sequences in a local step", Defaults.Training.BatchSize, least: 1);
    static readonly Option<int> Context = Options.Integer("--context", "Tokens in a sequence", Defaults.Training.ContextLength, least: 1);
    static readonly Option<double> Rate = Options.Number("--rate", "Local learning rate", Defaults.Training.LearningRate);
    public static readonly Option<double> Dropout = Options.Number("--dropout", "The probability that a client drawn never answers", Defaults.Dropout);
    static readonly Option<string?> Optimizer = Options.Choice("--optimizer", "Local optimizer; adamw by default", "adamw", "sgd");
    static readonly Option<string?> Personal = Options.Text("--personal", "NAMES", "Tensors that stay with each client: names, or beginnings with a * behind, commas between");
    static readonly Option<double?> Participation = Options.OptionalNumber("--participation", "Instead of a fixed number, each client takes part in a round with this probability");
    public static readonly Option<ICodec?> Codec = Options.Named("--codec", "NAME", $"How updates are encoded: {string.Join(", ", CodecRegistry.Forms)}; {Defaults.Codec.Name} by default", CodecRegistry.Find);
    public static readonly Option<IStrategy?> Strategy = Options.Named("--strategy", "NAME", $"What becomes of updates: {string.Join(", ", StrategyRegistry.Forms)}; {Defaults.Strategy.Name} by default", StrategyRegistry.Find);
    static readonly Option<IRobustRule?> Robust = Options.Named("--robust", "NAME", $"Makes one of the updates, some of which may be anything: {string.Join(", ", RobustRegistry.Forms)}", RobustRegistry.Find);
    static readonly Option<PrivacyOptions?> Privacy = Options.Named("--dp", "NAME", $"Differential privacy of clients: {string.Join(", ", PrivacyOptions.Forms)}", PrivacyOptions.Find);
    static readonly Option<SparseTraining?> Prune = Options.Named("--prune", "NAME", $"Prunes every matrix of the blocks by clients' votes: {string.Join(", ", PruningRegistry.Forms)}", PruningRegistry.Find);
    public static readonly Option<SecureOptions?> Secure = Options.Named("--secure", "NAME", $"Secure aggregation, the server learns the sum of updates alone: {string.Join(", ", SecureOptions.Forms)}; with it --codec is identity", SecureOptions.Find);
    static readonly Option<Attack?> Attacks = Options.Named("--attack", "NAME", $"Some clients attack the run: {string.Join(", ", Attack.Forms)}", Attack.Find);
    public static readonly Option<string?> Download = Options.Choice("--download", "How the model is sent to clients; float32 by default", "float32", "float16");

    static readonly Option<bool> Fresh = new("--fresh-clients") { Description = "Clients keep nothing from round to round: each begins with a new optimizer" };
    static readonly Option<string?> Scenarios = Options.Text("--file", "FILE", "A scenario in YAML: these options, and a world of slow, late and lost clients in virtual time");

    public static Command Create()
    {
        Command simulate = new("simulate", "Trains a model with clients that share no text, in this process; interrupted, the same command goes on where it stopped")
        {
            ModelArgument.Model, ClientText.Clients, ClientText.Split, ClientText.LabelField, ClientText.HeldOutShare, TextArgument.Documents, TextArgument.Sdk, Output, Rounds, PerRound, LocalSteps, BatchSize, Context, Rate, Dropout, Optimizer, Codec, Download,
            Scenarios, Fresh, Strategy, Participation, Personal, Robust, Privacy, Secure, Attacks, Prune,
        };
        foreach (Option option in NarrowClients.All)
            simulate.Options.Add(option);
        simulate.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return new Command("federate", "Trains with many clients that share no text") { simulate, FederateCompressCommand.Create(), FederateDistillCommand.Create(), FederateInitCommand.Create(), FederateServeCommand.Create(), FederateJoinCommand.Create(), FederateStatusCommand.Create(), FederateExplainRoundCommand.Create() };
    }

    /// <summary>The options of a run, however its clients are reached.</summary>
    public static IEnumerable<Option> RunOptions => [Rounds, PerRound, LocalSteps, BatchSize, Context, Rate, Optimizer, Strategy, Codec, Download, Participation, Personal, Robust, Privacy, Secure, Fresh, Prune, .. NarrowClients.All];

    /// <summary>What those options say.</summary>
    public static FederatedOptions ReadOptions(ParseResult parsed, Session session) => new()
    {
        Rounds = parsed.GetValue(Rounds),
        ClientsPerRound = parsed.GetValue(PerRound),
        LocalSteps = parsed.GetValue(LocalSteps),
        Strategy = parsed.GetValue(Strategy) ?? Defaults.Strategy,
        Codec = parsed.GetValue(Codec) ?? (parsed.GetValue(Secure) is null ? Defaults.Codec : new IdentityCodec()),
        Download = parsed.GetValue(Download) == "float16" ? DownloadFormat.Float16 : DownloadFormat.Float32,
        Seed = session.Seed,
        Participation = parsed.GetValue(Participation) ?? 0,
        Robust = parsed.GetValue(Robust),
        Privacy = parsed.GetValue(Privacy),
        Secure = parsed.GetValue(Secure),
        Personal = [.. (parsed.GetValue(Personal) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)],
        FreshClients = parsed.GetValue(Fresh),
        Widths = NarrowClients.Of(parsed),
        Training = Defaults.Training with { BatchSize = parsed.GetValue(BatchSize), ContextLength = parsed.GetValue(Context), LearningRate = parsed.GetValue(Rate), Optimizer = parsed.GetValue(Optimizer) == "sgd" ? OptimizerKind.Sgd : OptimizerKind.AdamW, Pruning = parsed.GetValue(Prune) },
    };

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        string output = Path.TrimEndingDirectorySeparator(parsed.GetRequiredValue(Output));
        FederatedOptions options = ReadOptions(parsed, session) with { Dropout = parsed.GetValue(Dropout) };
        Scenario scenario = parsed.GetValue(Scenarios) is { } file ? Scenario.ReadFile(file, options) : new Scenario(options, null);
        options = scenario.Options;
        options.Validate();
        ModelArgument.CheckTarget(parsed.GetRequiredValue(ModelArgument.Model), output);
        LanguageModel language = ModelArgument.LoadDecoder(parsed.GetRequiredValue(ModelArgument.Model));
        DecoderModel model = (DecoderModel)language.Model;
        IReadOnlyList<ClientText> texts = ClientText.Open(session, language, parsed, options.Training.ContextLength, cancel);
        options.Validate(model.Config);
        IReadOnlyList<SubModel> parts = NarrowClients.Parts(parsed, output, options, model, texts.Select(text => text.Name));

        string folder = output + ".federation";
        // What is under way in a run without rounds is not kept.
        RunJournal? journal = options.Strategy is FedBuff ? null : new RunJournal(folder);
        NonIidReport difference = NonIidReport.Measure([.. texts.Select(text => (text.Name, text.Documents, text.Tokens))], model.VocabularySize);
        foreach (ClientTextSummary client in difference.Clients)
            session.Say(string.Create(CultureInfo.InvariantCulture, $"client {client.Client}: {client.Documents:N0} documents, {client.Tokens:N0} tokens, {client.FromPooled:F3} bits from all clients' text together"));
        session.Say(string.Create(CultureInfo.InvariantCulture, $"clients differ by {difference.MeanDivergence:F3} bits (mean Jensen-Shannon divergence of two; 0 alike, 1 nothing shared)"));

        Attack? attack = parsed.GetValue(Attacks);
        IReadOnlySet<string> attackers = attack?.Attackers(texts.Select(text => text.Name), session.Seed) ?? new HashSet<string>();
        if (attackers.Count > 0)
            session.Say($"attacking ({attack!.Name}): {string.Join(", ", attackers.Order(StringComparer.Ordinal))}");
        List<Client> clients = [];
        foreach (ClientText text in texts)
        {
            Attack? own = attackers.Contains(text.Name) ? attack : null;
            clients.Add(new Client(text.Name, own?.Text(text.Tokens, session.Seed) ?? text.Tokens, scenario.World is null ? session.Pool : new WorkerPool(1), text.HeldOut, journal?.ClientFile(text.Name)) { Attack = own });
        }
        // All clients end with this process, and with them their attempts: nothing has to be kept of those.
        IReadOnlyList<IClientChannel> channels = options.Secure is null ? [.. clients.Select(client => new LocalChannel(client))] : SecureChannel.ForAll(clients);
        IReadOnlyList<RoundRecord> rounds = Simulate(session, model, channels, scenario, journal, folder, cancel);
        language.Save(output);
        NarrowClients.Save(session, parsed, language, parts);
        if (journal is not null)
            Directory.Delete(folder, recursive: true);

        if (options.Widths is not null)
            NarrowClients.Say(session, rounds);
        RoundLog.End(session, rounds, output, json =>
        {
            json.WriteNumber("divergence", difference.MeanDivergence);
            if (options.Widths is not null)
                NarrowClients.Write(json, rounds);
        });
        return ExitCode.Done;
    }

    static IReadOnlyList<RoundRecord> Simulate(Session session, DecoderModel model, IReadOnlyList<IClientChannel> channels, Scenario scenario, RunJournal? journal, string folder, CancellationToken cancel)
    {
        try
        {
            if (scenario.World is null)
                return Simulation.Run(model, channels, scenario.Options, journal, new RoundLog(session), cancel);
            // Each client trains on one thread, as many at once as there are.
            long start = Stopwatch.GetTimestamp();
            IReadOnlyList<RoundRecord> rounds = VirtualSimulation.Run(model, channels, scenario.Options, scenario.World, session.Pool.Threads, journal, new RoundLog(session, isVirtual: true), cancel);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            session.Say(string.Create(CultureInfo.InvariantCulture, $"{rounds.Sum(round => round.Seconds):N0} seconds of its own time in {seconds:0.0}; {rounds.Sum(round => round.Clients.Length) / seconds:0.0} clients a second"));
            return rounds;
        }
        catch (OperationCanceledException error)
        {
            throw new InterruptedException(journal is null ? "interrupted; nothing was kept" : $"interrupted; the same command goes on from {folder}", error);
        }
    }
}
