using System.CommandLine;
using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Server.Certificates;
using Coppice.Server.Http;
using Coppice.Server.Observation;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Coppice.Cli;

/// <summary>coppice federate serve: a run's server, or one of several processes that are it together, until the last round is closed.</summary>
static class FederateServeCommand
{
    /// <summary>Where a run that one process drives lies, in its folder.</summary>
    public const string DrivenFolder = "driven";

    const string Aggregator = "aggregator";

    static readonly TimeSpan FarewellTime = TimeSpan.FromSeconds(30);

    static readonly Option<string> Folder = new("--run") { Description = "The folder of the run, as federate init made it", HelpName = "DIR", Required = true };
    static readonly Option<string?> Listen = Options.Text("--listen", "HOST:PORT", "The address and port to listen on; 0.0.0.0:PORT for all of this machine's");
    static readonly Option<string?> Output = Options.Text("--output", "OUT", "The folder to write", "-o");
    static readonly Option<string?> Role = Options.Choice("--role", "What this process does: answers clients (coordinator), makes each round's model of their updates (aggregator, which has no port), or all of it (the default)", "all", "coordinator", Aggregator);
    static readonly Option<double> OverSelect = Options.Number("--over-select", "Clients asked above those wanted, as a share of them", value: 0);
    static readonly Option<int> Minimum = Options.Integer("--minimum", "Updates without which a round has no result", value: 1, least: 1);
    static readonly Option<int> KeepRounds = Options.Integer("--keep-rounds", "Closed rounds whose models and updates are kept; those of older ones are deleted", value: new RunSettings(new FederatedOptions()).KeptRounds, least: 1);
    static readonly Option<double> Deadline = Options.Number("--deadline", "Seconds that a round waits for its clients", value: 3600, least: 0.001);
    static readonly Option<double> StepDeadline = Options.Number("--step-deadline", "With --secure: seconds that a client has for each step after its training", value: 60, least: 0.001);
    public static readonly Option<string?> Otlp = Options.Text("--otlp", "ADDRESS", "Sends traces and metrics to an OpenTelemetry collector: http://HOST:4317 by gRPC, http://HOST:4318 by HTTP");
    static readonly Option<int?> Health = Options.OptionalInteger("--health", "A loopback port for /health/live and /health/ready", least: 0, most: 65535);

    public static Command Create()
    {
        Command serve = new("serve", "Serves a federated run to clients on a network until its last round is closed; stopped or killed, the same command goes on where it was")
        {
            ModelArgument.Model, Folder, Listen, Output, OverSelect, Minimum, KeepRounds, Deadline, StepDeadline, Health, Otlp, Role, FederateStorage.Store, FederateStorage.Queue, FederateStorage.Blobs,
        };
        foreach (Option option in FederateCommand.RunOptions)
            serve.Options.Add(option);
        serve.SetAction(Run);
        return serve;
    }

    static async Task<int> Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        using OtlpExport? export = parsed.GetValue(Otlp) is { } collector ? new OtlpExport(collector) : null;
        string folder = parsed.GetRequiredValue(Folder), role = parsed.GetValue(Role) ?? "all", blobs = parsed.GetValue(FederateStorage.Blobs) ?? folder;
        string? output = parsed.GetValue(Output) is { } named ? Path.TrimEndingDirectorySeparator(named) : null;
        FederatedOptions federation = FederateCommand.ReadOptions(parsed, session);
        federation.Validate();
        if (federation.Secure is null && parsed.GetResult(StepDeadline) is { Implicit: false })
            throw new MisuseException("--step-deadline goes with --secure");
        if (!RunSettings.CanBeStored(federation))
            return await Drive(session, parsed, folder, role, federation, cancel);
        RunSettings settings = new(federation)
        {
            OverSelection = parsed.GetValue(OverSelect),
            Minimum = parsed.GetValue(Minimum),
            KeptRounds = parsed.GetValue(KeepRounds),
            Deadline = TimeSpan.FromSeconds(parsed.GetValue(Deadline)),
        };
        settings.Validate();
        IPEndPoint? listen = CheckRole(parsed, role, output);
        if (output is not null)
            ModelArgument.CheckTarget(parsed.GetRequiredValue(ModelArgument.Model), output);
        if (!Authority.IsIn(folder))
            throw new CoppiceException($"{folder}: holds no federated run; 'coppice federate init {folder} --host NAME' makes one");
        LanguageModel language = ModelArgument.LoadDecoder(parsed.GetRequiredValue(ModelArgument.Model));
        DecoderModel model = (DecoderModel)language.Model;

        using Authority authority = Authority.Open(folder);
        using IRunStore store = FederateStorage.OpenStore(parsed, folder);
        TimeProvider time = store.Clock;
        await using IWorkQueue queue = FederateStorage.OpenQueue(parsed, authority, session);
        Coordinator coordinator = new(store, new BlobStore(Path.Combine(blobs, "blobs")), new UploadStore(Path.Combine(blobs, "uploads")), queue, settings, model.Config, ParameterSet.Copy(model), time,
            role == "all" ? 0 : RandomNumberGenerator.GetInt32(int.MaxValue));
        ServeOptions options = new()
        {
            Listen = listen ?? new ServeOptions().Listen,
            HealthPort = parsed.GetValue(Health),
            Tokenizer = TokenizerOf(language),
            Progress = new RoundLog(session),
            Logging = parsed.GetValue(CommonOptions.Verbose) ? Log : null,
        };
        await using FederationServer? server = listen is null ? null : await FederationServer.Start(coordinator, role == "all" ? queue : null, store, authority, options, time, cancel);
        using RoundWorker? worker = server is null ? new RoundWorker(coordinator, queue, options.Sweep, options.Progress) : null;
        if (worker is not null)
            await worker.StartAsync(cancel);
        session.Say($"{(server is null ? "aggregating" : "serving")} round {coordinator.Current.Number} of {settings.Federation.Rounds}{(server is null ? "" : $" on {listen!.Address}:{server.Port}")}");

        RunRow run;
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        using (PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
        {
            signal.Cancel = true;
            stop.Cancel();
        }))
        {
            try
            {
                run = await (server?.Over ?? worker!.Over).WaitAsync(stop.Token);
                if (run.State == RunState.Done && output is not null)
                {
                    coordinator.Model().CopyTo(model);
                    language.Save(output);
                }
                if (server is not null)
                    await server.Farewell(FarewellTime, time, stop.Token);
            }
            catch (OperationCanceledException error) when (stop.IsCancellationRequested)
            {
                await Stop();
                string line = $"stopped in round {coordinator.Current.Number}; the same command goes on from {folder}";
                if (cancel.IsCancellationRequested)
                    throw new InterruptedException(line, error);
                session.Say(line);
                return ExitCode.Interrupted;
            }
            await Stop();
        }
        if (run.State == RunState.Failed)
            throw new CoppiceException($"{run.Reason}; the same command tries again from {folder}");
        RoundLog.End(session, [.. coordinator.Closed().Select(coordinator.Record)], output);
        return ExitCode.Done;

        Task Stop() => server?.Stop() ?? worker!.StopAsync(CancellationToken.None);
    }

    // What a store cannot hold, this process does by itself, as a simulation does with clients of its own; after each round it is in the folder.
    static async Task<int> Drive(Session session, ParseResult parsed, string folder, string role, FederatedOptions options, CancellationToken cancel)
    {
        string why = $"strategy '{options.Strategy.Name}'{(options.Robust is { } rule ? $" with rule '{rule.Name}'" : "")}{(options.Privacy is null ? "" : " with privacy")}{(options.Secure is null ? "" : " with secure aggregation")}{(options.Widths is null ? "" : " with clients of different widths")}{(options.Training.Pruning is null ? "" : " with masks that clients vote on")}{(options.Codec is SharedProductCodec ? $" with codec '{options.Codec.Name}'" : "")}";
        if (((Option[])[OverSelect, Minimum, KeepRounds, Health, FederateStorage.Store, FederateStorage.Queue, FederateStorage.Blobs]).FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } other)
            throw new MisuseException($"{other.Name}: this run is driven by one process ({why}), which does not take it");
        if (role != "all")
            throw new MisuseException($"--role: this run is driven by one process ({why})");
        IPEndPoint listen = CheckRole(parsed, role, parsed.GetValue(Output))!;
        string output = Path.TrimEndingDirectorySeparator(parsed.GetValue(Output)!);
        ModelArgument.CheckTarget(parsed.GetRequiredValue(ModelArgument.Model), output);
        LanguageModel language = ModelArgument.LoadDecoder(parsed.GetRequiredValue(ModelArgument.Model));
        options.Validate(((DecoderModel)language.Model).Config);
        RunJournal journal = new(Path.Combine(folder, DrivenFolder));
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        using PosixSignalRegistration terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
        {
            signal.Cancel = true;
            stop.Cancel();
        });
        await using LiveServer server = await LiveServer.Start(folder, listen, language, options.Codec.Name, options.Training.ContextLength, TimeSpan.FromSeconds(parsed.GetValue(Deadline)), TimeSpan.FromSeconds(parsed.GetValue(StepDeadline)), stop.Token);
        session.Say($"driving a run of {server.Channels.Count} clients on {listen.Address}:{server.Port}");
        try
        {
            DecoderModel model = (DecoderModel)language.Model;
            IReadOnlyList<SubModel> parts = NarrowClients.Parts(parsed, output, options, model, server.Channels.Select(channel => channel.Client));
            RoundLog log = new(session);
            IReadOnlyList<RoundRecord> rounds = await Task.Run(() => Simulation.Run(model, server.Channels, options, options.Secure is null ? null : server.Hosting, journal, log, stop.Token), stop.Token);
            language.Save(output);
            NarrowClients.Save(session, parsed, language, parts);
            await server.End("the run is done", stop.Token);
            if (options.Widths is not null)
                NarrowClients.Say(session, rounds);
            RoundLog.End(session, rounds, output, json =>
            {
                if (options.Widths is not null)
                    NarrowClients.Write(json, rounds);
            });
            return ExitCode.Done;
        }
        catch (OperationCanceledException error) when (stop.IsCancellationRequested)
        {
            throw new InterruptedException($"stopped; the same command goes on from {folder}", error);
        }
    }

    // An aggregator answers nobody and keeps nothing; all others need a port and write the model.
    static IPEndPoint? CheckRole(ParseResult parsed, string role, string? output)
    {
        string? listen = parsed.GetValue(Listen);
        if (role != Aggregator)
            return listen is not null && output is not null ? Address(listen) : throw new MisuseException($"federate serve: wanted {(listen is null ? "--listen HOST:PORT" : "-o OUT")}");
        return listen is null && parsed.GetValue(Health) is null && output is null ? null : throw new MisuseException("--role aggregator: has no port and writes no model; leave out --listen, --health and -o");
    }

    /// <summary>An address and a port of this machine.</summary>
    public static IPEndPoint Address(string text) => text.LastIndexOf(':') is var colon and > 0 && int.TryParse(text[(colon + 1)..], out int port) && port is >= 0 and <= 65535
        && (text[..colon] == "localhost" ? IPAddress.Loopback : IPAddress.TryParse(text[..colon].Trim('[', ']'), out IPAddress? address) ? address : null) is { } found
            ? new IPEndPoint(found, port)
            : throw new MisuseException($"--listen is '{text}', wanted an address of this machine and a port: 0.0.0.0:8443, [::]:8443, localhost:8443");

    /// <summary>A tokenizer's files, for clients.</summary>
    public static List<(string Name, byte[] Bytes)> TokenizerOf(LanguageModel language) => [.. language.Tokenizer.Files.Select(file =>
    {
        using MemoryStream stream = new();
        file.Write(stream);
        return (file.Name, stream.ToArray());
    })];

    // To stderr: stdout is the document's.
    static void Log(ILoggingBuilder logging)
    {
        logging.AddJsonConsole(console => console.UseUtcTimestamp = true);
        logging.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
    }
}
