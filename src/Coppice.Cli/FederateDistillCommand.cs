using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using Coppice.Federation;
using Coppice.Federation.Distill;
using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;

namespace Coppice.Cli;

/// <summary>coppice federate distill: clients with models of their own learn from one another.</summary>
static class FederateDistillCommand
{
    static readonly FederatedDistillationOptions Defaults = new();

    static readonly Option<string> Output = new("--output", "-o") { Description = "The folder to write, a model for each client in it", HelpName = "DIR", Required = true };
    static readonly Option<string?> Models = Options.Text("--models", "DIR", "Clients' models, DIR/CLIENT, of any shape and one tokenizer; who has none there begins with MODEL, or the part of it that --widths says");
    static readonly Option<ClientWidths?> Widths = Options.Named("--widths", "WIDTHS", $"The part of MODEL that clients begin with, as of simulate: {ClientWidths.Form}", ClientWidths.Find);
    static readonly Option<string?> Public = Options.Text("--public", "TEXT", $"The text that everybody may know: {TextArgument.Specs}; sdk:train by default");
    static readonly Option<int> Rounds = Options.Integer("--rounds", "Rounds", Defaults.Rounds, least: 1);
    static readonly Option<int> Windows = Options.Integer("--public-windows", "Windows of the public text a round", Defaults.PublicWindows, least: 1);
    static readonly Option<int> Digest = Options.Integer("--digest-steps", "Optimizer steps a round towards what all hold of it", Defaults.DigestSteps, least: 1);
    static readonly Option<int> LocalSteps = Options.Integer("--local-steps", "Optimizer steps a round on a client's own text", Defaults.LocalSteps);
    static readonly Option<int> BatchSize = Options.Integer("--batch", "Sequences in a step", Defaults.Training.BatchSize, least: 1);
    static readonly Option<int> Context = Options.Integer("--context", "Tokens in a sequence", Defaults.Training.ContextLength, least: 1);
    static readonly Option<double> Rate = Options.Number("--rate", "Learning rate", Defaults.Training.LearningRate);
    static readonly Option<double> Temperature = Options.Number("--temperature", "What logits are divided by", Defaults.Temperature);

    public static Command Create()
    {
        Command command = new("distill", "Clients with models of their own, of different shapes, learn from what all hold of a public text, in this process; interrupted, nothing is kept")
        {
            ModelArgument.Model, ClientText.Clients, ClientText.Split, ClientText.LabelField, ClientText.HeldOutShare, TextArgument.Documents, TextArgument.Sdk, Output, Models, Widths, Public, Rounds, Windows, Digest, LocalSteps, BatchSize, Context, Rate, Temperature, FederateCommand.Dropout,
        };
        command.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return command;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        string output = Path.TrimEndingDirectorySeparator(parsed.GetRequiredValue(Output));
        FederatedDistillationOptions options = Defaults with
        {
            Rounds = parsed.GetValue(Rounds),
            PublicWindows = parsed.GetValue(Windows),
            DigestSteps = parsed.GetValue(Digest),
            LocalSteps = parsed.GetValue(LocalSteps),
            Temperature = parsed.GetValue(Temperature),
            Seed = session.Seed,
            Dropout = parsed.GetValue(FederateCommand.Dropout),
            Training = Defaults.Training with { BatchSize = parsed.GetValue(BatchSize), ContextLength = parsed.GetValue(Context), LearningRate = parsed.GetValue(Rate), Seed = session.Seed },
        };
        options.Validate();
        LanguageModel language = ModelArgument.LoadDecoder(parsed.GetRequiredValue(ModelArgument.Model));
        IReadOnlyList<ClientText> texts = ClientText.Open(session, language, parsed, options.Training.ContextLength, cancel);
        foreach (ClientText text in texts)
            ModelArgument.CheckTarget(parsed.GetRequiredValue(ModelArgument.Model), PlaceOf(output, text.Name));
        int[] known = TokenWindows.Tokenize(language.Tokenizer, Corpus.Open(parsed.GetValue(Public) ?? "sdk:train", TextArgument.Options(parsed), cancel).Documents);
        IReadOnlyDictionary<string, SubModel> parts = parsed.GetValue(Widths)?.Deal((DecoderModel)language.Model, texts.Select(text => text.Name), session.Seed) ?? ImmutableDictionary<string, SubModel>.Empty;
        if (parsed.GetValue(Models) is { } folder)
            CheckModels(session, folder, [.. texts.Select(text => text.Name)]);
        List<(ClientText Text, DecoderModel Model)> clients = [.. texts.Select(text => (text, ModelOf(parsed, language, parts, text.Name)))];
        if (clients.Find(client => client.Model.Config.ContextLength < options.Training.ContextLength) is { Text.Name: var name, Model.Config.ContextLength: var context })
            throw new CoppiceException($"{Context.Name} is {options.Training.ContextLength}, the context of client {name}'s model holds {context}");
        try
        {
            IReadOnlyList<DistillationRecord> records = FederatedDistillation.Run(
                [.. clients.Select(client => new LocalChannel(new Client(client.Text.Name, client.Text.Tokens, session.Pool, client.Text.HeldOut) { OwnModel = client.Model }))], known, language.Model.VocabularySize, options, new Log(session), cancel);
            foreach ((ClientText text, DecoderModel model) in clients)
                (language with { Model = model }).Save(PlaceOf(output, text.Name));
            End(session, records, output);
            return ExitCode.Done;
        }
        catch (OperationCanceledException error)
        {
            throw new InterruptedException("interrupted; nothing was kept", error);
        }
    }

    static string PlaceOf(string folder, string client) => Path.Combine(folder, Uri.EscapeDataString(client));

    // A folder in which nobody has a model is another than was meant.
    static void CheckModels(Session session, string folder, string[] clients)
    {
        string[] without = [.. clients.Where(client => !Directory.Exists(PlaceOf(folder, client)))];
        if (without.Length == clients.Length)
            throw new CoppiceException($"{Models.Name} {folder}: has a model of no client; wanted {PlaceOf(folder, clients[0])} or another client's");
        if (without.Length > 0)
            session.Say($"without a model in {folder}: {string.Join(", ", without)}");
    }

    static DecoderModel ModelOf(ParseResult parsed, LanguageModel language, IReadOnlyDictionary<string, SubModel> parts, string client)
    {
        if (parsed.GetValue(Models) is { } folder && PlaceOf(folder, client) is var path && Directory.Exists(path))
        {
            LanguageModel own = LanguageModel.Load(path);
            if (own.Tokenizer.Hash != language.Tokenizer.Hash)
                throw new CoppiceException($"{path}: has another tokenizer than {language.Source}; what clients hold of a text can be compared with one tokenizer only");
            return own.Model as DecoderModel ?? throw new CoppiceException($"{path}: clients have decoders, and this is a {own.Model.Family} model");
        }
        return parts.TryGetValue(client, out SubModel? part) ? part.Build((DecoderModel)language.Model) : (DecoderModel)ModelArgument.LoadDecoder(parsed.GetRequiredValue(ModelArgument.Model)).Model;
    }

    static void End(Session session, IReadOnlyList<DistillationRecord> records, string output)
    {
        (string Client, long Parameters, double Before, double After)[] clients = [.. records.SelectMany(record => record.Clients).GroupBy(client => client.Client, StringComparer.Ordinal).OrderBy(own => own.Key, StringComparer.Ordinal)
            .Select(own => (own.Key, own.Last().Parameters, own.First().LossBefore, own.Last().LossAfter))];
        session.Table(["client", "numbers", "loss before", "after"], clients.Select(client => (string[])
        [
            client.Client, client.Parameters.ToString("N0", CultureInfo.InvariantCulture), client.Before.ToString("0.000", CultureInfo.InvariantCulture), client.After.ToString("0.000", CultureInfo.InvariantCulture),
        ]));
        session.Line(string.Create(CultureInfo.InvariantCulture, $"{records.Sum(record => record.BytesUp):N0} bytes up, {records.Sum(record => record.BytesDown):N0} bytes down in {records.Count} rounds; wrote {output}"));
        session.Document(json =>
        {
            json.Array("clients", clients, client =>
            {
                json.WriteString("client", client.Client);
                json.WriteNumber("parameters", client.Parameters);
                json.WriteNumber("lossBefore", client.Before);
                json.WriteNumber("lossAfter", client.After);
            });
            json.WriteNumber("rounds", records.Count);
            json.WriteNumber("dropped", records.Sum(record => record.Dropped.Length));
            json.WriteNumber("bytesUp", records.Sum(record => record.BytesUp));
            json.WriteNumber("bytesDown", records.Sum(record => record.BytesDown));
            json.WriteString("artifact", output);
        });
    }

    sealed class Log(Session session) : IProgress<DistillationRecord>
    {
        public void Report(DistillationRecord round)
        {
            session.Say(string.Create(CultureInfo.InvariantCulture, $"   round {round.Round}: {round.Clients.Length} clients, held-out loss {round.Clients.Average(client => client.LossBefore):F3} -> {round.Clients.Average(client => client.LossAfter):F3}, {round.BytesUp:N0} bytes up, {round.BytesDown:N0} down"));
            foreach (DroppedClient dropped in round.Dropped)
                session.Say($"   dropped {dropped.Client}: {dropped.Reason}");
        }
    }
}
