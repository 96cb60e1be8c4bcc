using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Evaluation;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Recipes;
using Coppice.Federation.Strategies;
using Coppice.Federation.Widths;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Server.Observation;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;

namespace Coppice.Cli;

/// <summary>coppice federate compress: a recipe over text that clients keep to themselves.</summary>
static class FederateCompressCommand
{
    static readonly FleetOptions Defaults = new();

    static readonly Option<int> Tokens = Options.Integer("--calibration-tokens", "Tokens of its text that each client gathers statistics on, drawn with --seed", Defaults.CalibrationTokens, least: 1);
    static readonly Option<int> Context = Options.Integer("--context", "Tokens of a window of statistics", Defaults.ContextLength, least: 1);
    static readonly Option<int> Windows = Options.Integer("--compare-windows", "Windows of its own text on which each client compares the result with the model; 0: none do", 32);
    static readonly Option<string?> Adapters = Options.Choice("--lora-averaging", "Of fineTune with lora: the mean of B with A as it was drawn (ffa, the default), of A and of B, or of their products (stack)", "ffa", "mean", "stack");
    static readonly Option<ClientRanks?> Ranks = Options.Named("--lora-ranks", "RANKS", "With --lora-averaging stack: clients' ranks, RANK[:SHARE],... and CLIENT=RANK,...; the step's by default", ClientRanks.Find);
    static readonly Option<string?> Each = Options.Text("--for-each", "DIR", "Also compresses the model for each client, by sums over its own text, and writes DIR/CLIENT");
    static readonly Option<double> Others = Options.Number("--others", "With --for-each: what other clients' sums count beside a client's own, 0 to 1", 0);
    static readonly Option<string?> RunFolder = Options.Text("--run", "DIR", "Asks clients of a network instead: those enrolled in this folder by federate init, each at federate join");
    static readonly Option<string?> Listen = Options.Text("--listen", "HOST:PORT", "With --run: the address and port to listen on");
    static readonly Option<double> Deadline = Options.Number("--deadline", "With --run: seconds that a client has for an answer; then the step goes on without it", value: 600, least: 0.001);

    public static Command Create()
    {
        Command command = new("compress", "Runs a recipe over a model with clients that share no text, in this process or on a network; interrupted, the same command goes on")
        {
            ModelArgument.Model, CompressCommand.RecipePath, CompressCommand.Preset, ClientText.Clients, ClientText.Split, ClientText.LabelField, ClientText.HeldOutShare, TextArgument.Documents, TextArgument.Sdk, CompressCommand.Output, Tokens, Context, Windows, FederateCommand.PerRound, FederateCommand.LocalSteps,
            FederateCommand.Codec, FederateCommand.Strategy, FederateCommand.Download, FederateCommand.Dropout, CompressCommand.AllowRequantize, Adapters, Ranks, Each, Others, RunFolder, Listen, Deadline, FederateServeCommand.Otlp,
        };
        command.SetAction(Run);
        return command;
    }

    static async Task<int> Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        string name = parsed.GetRequiredValue(ModelArgument.Model);
        using OpenModel open = OpenModel.Open(ModelArgument.PathOf(name));
        (Recipe recipe, CompressedOutput output) = Check(parsed, name, open.Language, parsed.GetRequiredValue(CompressCommand.Output));
        LanguageModel language = open.Language;
        Work work = new(name, recipe, language, output);
        if (parsed.GetValue(Each) is null ? parsed.GetResult(Others) is { Implicit: false } : parsed.GetValue(Windows) == 0)
            throw new MisuseException(parsed.GetValue(Each) is null ? "--others goes with --for-each" : "--for-each says what it costs and gives each client, so that --compare-windows cannot be 0");
        if (parsed.GetValue(RunFolder) is { } folder)
            return await Serve(session, parsed, work, folder, cancel);
        if (parsed.GetValue(Listen) is not null)
            throw new MisuseException("--listen goes with --run DIR");
        IReadOnlyList<ClientText> texts = ClientText.Open(session, language, parsed, parsed.GetValue(Context), cancel);
        CheckEach(parsed, work, texts.Select(text => text.Name));
        Compress(session, parsed, work, clients => [.. texts.Select(text => new LocalChannel(new Client(text.Name, text.Tokens, session.Pool, text.HeldOut, clients?.ClientFile(text.Name))))],
            OptionsOf(parsed, session), $"text {TextHash(texts)}", cancel);
        return ExitCode.Done;
    }

    // With clients of a network: this process asks them, and they may come and go.
    static async Task<int> Serve(Session session, ParseResult parsed, Work work, string folder, CancellationToken cancel)
    {
        IPEndPoint listen = FederateServeCommand.Address(parsed.GetValue(Listen) ?? throw new MisuseException("--run goes with --listen HOST:PORT"));
        if (((Option[])[ClientText.Clients, FederateCommand.Dropout]).FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } simulated)
            throw new MisuseException($"{simulated.Name} is for clients in this process, and --run for those of a network; wanted one of the two");
        FleetOptions options = OptionsOf(parsed, session);
        using OtlpExport? export = parsed.GetValue(FederateServeCommand.Otlp) is { } collector ? new OtlpExport(collector) : null;
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        using PosixSignalRegistration terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
        {
            signal.Cancel = true;
            stop.Cancel();
        });
        await using LiveServer server = await LiveServer.Start(folder, listen, work.Language, options.Training.Codec.Name, options.ContextLength, TimeSpan.FromSeconds(parsed.GetValue(Deadline)), TimeSpan.FromSeconds(parsed.GetValue(Deadline)), stop.Token);
        CheckEach(parsed, work, server.Channels.Select(channel => channel.Client));
        session.Say($"asking {server.Channels.Count} clients on {listen.Address}:{server.Port}");
        await Task.Run(() => Compress(session, parsed, work, _ => server.Channels, options, "on a network", stop.Token), stop.Token);
        await server.End("the model is compressed", stop.Token);
        return ExitCode.Done;
    }

    /// <summary>The recipe and the output, once it is known that they can be.</summary>
    static (Recipe Recipe, CompressedOutput Output) Check(ParseResult parsed, string name, LanguageModel language, string path)
    {
        CompressedOutput output = new(path, parsed.GetValue(CompressCommand.AllowRequantize));
        Recipe recipe = CompressCommand.ReadRecipe(parsed);
        output.CheckTarget(name);
        if (language.Model is not DecoderModel model)
            throw new CoppiceException($"{name}: clients compress decoders, and this is a {language.Model.Family} model");
        if (parsed.GetValue(Context) > model.Config.ContextLength)
            throw new CoppiceException($"{Context.Name} is {parsed.GetValue(Context)}, the model's context holds {model.Config.ContextLength}");
        return output.Check(model, recipe).NeedsText ? (recipe, output) : throw new MisuseException($"recipe '{recipe.Name}' looks at no text, so that no client has a part in it; use coppice compress");
    }

    /// <summary>What is compressed, by what, into what.</summary>
    sealed record Work(string Name, Recipe Recipe, LanguageModel Language, CompressedOutput Output);

    /// <summary>Runs a recipe over clients, however they are reached, and writes the result.</summary>
    static void Compress(Session session, ParseResult parsed, Work work, Func<RunJournal?, IReadOnlyList<IClientChannel>> clients, FleetOptions options, string texts, CancellationToken cancel)
    {
        (string name, Recipe recipe, LanguageModel language, CompressedOutput output) = work;
        string folder = output.Path + ".federation";
        // Only training has a state to keep.
        RunJournal? kept = recipe.Steps.OfType<TrainingStep>().Any() ? new RunJournal(folder) : null;
        IReadOnlyList<IClientChannel> channels = clients(kept);
        ClientTexts holders = new(channels, options, session.Pool, kept is null ? null : folder, cancel);
        try
        {
            Made made = Make(session, parsed, work, holders, texts, "", cancel);
            List<OwnResult> own = [];
            foreach (ClientComparison before in parsed.GetValue(Each) is null ? [] : made.Comparisons)
                own.Add(MakeFor(session, parsed, work, channels, options with { For = before.Client, Others = parsed.GetValue(Others) }, before, kept is null ? null : folder, texts, cancel));
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
            End(session, new CompressResult(recipe, made.Report, output, null), [holders.Traffic, .. own.Select(result => result.Traffic)], made.Comparisons, own);
        }
        catch (OperationCanceledException error)
        {
            throw new InterruptedException("interrupted; the same command goes on after the last finished block", error);
        }
    }

    /// <summary>What came of a recipe, and what it costs the clients who compared.</summary>
    sealed record Made(CompressionReport Report, IReadOnlyList<ClientComparison> Comparisons);

    /// <summary>A model for one client, and what it costs it.</summary>
    sealed record OwnResult(string Path, long Bytes, ClientComparison Cost, FleetTraffic Traffic);

    static Made Make(Session session, ParseResult parsed, Work work, ClientTexts holders, string texts, string whose, CancellationToken cancel)
    {
        (string name, Recipe recipe, LanguageModel language, CompressedOutput output) = work;
        Journal journal = Journal.Open(output.Path, language.Model, recipe, [], session.Seed, holders: $"{holders.Signature}; {texts}");
        try
        {
            CompressionPipeline pipeline = new(recipe, session.Pool) { Seed = session.Seed, Holders = holders, Base = () => ModelArgument.Load(name).Model };
            CompressionReport report = session.Track($"compressing{whose}", ticks => pipeline.Run(language.Model, [], journal,
                new Told<CompressionProgress>(progress => ticks.Report(new Tick((double)progress.Done / progress.Total, progress.Layer))), cancel));
            foreach (GgufRounding rounding in output.Build(language with { Model = report.Model }, journal, session.Pool))
                session.Say($"rounded again: {rounding.Tensor}, {rounding.From} to {rounding.To}");
            int windows = parsed.GetValue(Windows);
            IReadOnlyList<ClientComparison> comparisons = windows == 0 ? [] : session.Track($"comparing{whose}", _ => holders.Compare((DecoderModel)ModelArgument.Load(name).Model, (DecoderModel)LanguageModel.Load(output.Built!).Model, windows));
            output.Publish();
            journal.Delete();
            return new Made(report, comparisons);
        }
        finally
        {
            output.Discard();
            journal.DeleteIfEmpty();
        }
    }

    // Models of clients have places of their own, which is known before any work.
    static void CheckEach(ParseResult parsed, Work work, IEnumerable<string> clients)
    {
        foreach (string client in parsed.GetValue(Each) is null ? [] : clients)
            ModelArgument.CheckApart(Each.Name, OutputFor(parsed, work, client).Path, work.Output.Path);
    }

    static CompressedOutput OutputFor(ParseResult parsed, Work work, string client)
    {
        CompressedOutput output = new(Path.Combine(parsed.GetValue(Each)!, Uri.EscapeDataString(client) + (work.Output.IsGguf ? ".gguf" : "")), parsed.GetValue(CompressCommand.AllowRequantize));
        output.CheckTarget(work.Name);
        return output;
    }

    // The same recipe over the base again, by what one client says of its own text.
    static OwnResult MakeFor(Session session, ParseResult parsed, Work work, IReadOnlyList<IClientChannel> channels, FleetOptions options, ClientComparison before, string? folder, string texts, CancellationToken cancel)
    {
        Directory.CreateDirectory(parsed.GetValue(Each)!);
        CompressedOutput output = OutputFor(parsed, work, before.Client);
        ClientTexts holders = new(channels, options, session.Pool, folder is null ? null : Path.Combine(folder, "own", Uri.EscapeDataString(before.Client)), cancel);
        IReadOnlyList<ClientComparison> after = Make(session, parsed, work with { Language = ModelArgument.LoadDecoder(work.Name), Output = output }, holders, texts, $" for {before.Client}", cancel).Comparisons;
        return new OwnResult(output.Path, output.Bytes, after.FirstOrDefault(client => client.Client == before.Client) ?? throw new CoppiceException($"client '{before.Client}' did not compare the model that is for it"), holders.Traffic);
    }

    static FleetOptions OptionsOf(ParseResult parsed, Session session) => Defaults with
    {
        CalibrationTokens = parsed.GetValue(Tokens),
        ContextLength = parsed.GetValue(Context),
        Seed = session.Seed,
        Dropout = parsed.GetValue(FederateCommand.Dropout),
        Adapters = parsed.GetValue(Adapters) switch { "mean" => AdapterAveraging.Mean, "stack" => AdapterAveraging.Stacked, _ => AdapterAveraging.FrozenInputs },
        Ranks = parsed.GetValue(Ranks),
        Training = Defaults.Training with
        {
            ClientsPerRound = parsed.GetValue(FederateCommand.PerRound),
            LocalSteps = parsed.GetValue(FederateCommand.LocalSteps),
            Codec = parsed.GetValue(FederateCommand.Codec) ?? Defaults.Training.Codec,
            Strategy = parsed.GetValue(FederateCommand.Strategy) ?? Defaults.Training.Strategy,
            Download = parsed.GetValue(FederateCommand.Download) == "float16" ? DownloadFormat.Float16 : DownloadFormat.Float32,
        },
    };

    static string TextHash(IReadOnlyList<ClientText> texts)
    {
        using System.Security.Cryptography.IncrementalHash hash = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        foreach (ClientText text in texts)
            hash.AppendData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(text.Tokens.AsSpan()));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    static void End(Session session, CompressResult result, IReadOnlyList<FleetTraffic> traffics, IReadOnlyList<ClientComparison> comparisons, IReadOnlyList<OwnResult> own)
    {
        result.Print(session);
        FleetTraffic traffic = new(traffics.Sum(part => part.Steps), traffics.Sum(part => part.BytesUp), traffics.Sum(part => part.BytesDown), [.. traffics.SelectMany(part => part.Dropped)]);
        foreach (string dropped in traffic.Dropped)
            session.Say($"dropped: {dropped}");
        if (comparisons.Count > 0)
            session.Table(["client", "tokens", "text", "base nats", "compressed", "difference", "KL", "top-1"], comparisons.Select(client => (string[])
            [
                client.Client, client.Tokens.ToString("N0", CultureInfo.InvariantCulture), client.IsHeldOut ? "held out" : "its training text",
                client.BaseNats.ToString("0.0000", CultureInfo.InvariantCulture), client.CompressedNats.ToString("0.0000", CultureInfo.InvariantCulture),
                string.Create(CultureInfo.InvariantCulture, $"{client.CompressedNats - client.BaseNats:+0.0000;-0.0000} ± {client.DeltaError:0.0000}"),
                Kl(client), client.Top1Agreement.ToString("P2", CultureInfo.InvariantCulture),
            ]));
        if (own.Count > 0)
            session.Table(["client", "KL of the model for all", "of its own", "its own"], own.Select(result => (string[])
            [
                result.Cost.Client, Kl(comparisons.First(client => client.Client == result.Cost.Client)), Kl(result.Cost), result.Path,
            ]));
        session.Line(string.Create(CultureInfo.InvariantCulture, $"clients were asked {traffic.Steps} times: {traffic.BytesUp:N0} bytes up, {traffic.BytesDown:N0} bytes down"));
        session.Document(json =>
        {
            result.Write(json);
            json.Array("clients", comparisons, client =>
            {
                json.WriteString("client", client.Client);
                json.WriteNumber("tokens", client.Tokens);
                json.WriteBoolean("heldOut", client.IsHeldOut);
                json.WriteNumber("baseNats", client.BaseNats);
                json.WriteNumber("compressedNats", client.CompressedNats);
                json.WriteNumber("differenceError", client.DeltaError);
                json.WriteNumber("kl", client.Kl);
                json.WriteNumber("klError", client.KlError);
                json.WriteNumber("top1Agreement", client.Top1Agreement);
                if (own.FirstOrDefault(result => result.Cost.Client == client.Client) is not { } mine)
                    return;
                json.WriteNumber("ownKl", mine.Cost.Kl);
                json.WriteNumber("ownKlError", mine.Cost.KlError);
                json.WriteNumber("ownBytes", mine.Bytes);
                json.WriteString("ownArtifact", mine.Path);
            });
            json.WriteNumber("asked", traffic.Steps);
            json.WriteNumber("bytesUp", traffic.BytesUp);
            json.WriteNumber("bytesDown", traffic.BytesDown);
            json.WriteNumber("dropped", traffic.Dropped.Length);
        });
    }

    static string Kl(ClientComparison client) => string.Create(CultureInfo.InvariantCulture, $"{client.Kl:0.00000} ± {client.KlError:0.00000}");
}
