using System.CommandLine;
using System.Globalization;
using Coppice.Federation;
using Coppice.Server.Certificates;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;

namespace Coppice.Cli;

/// <summary>coppice federate explain-round: who took part in a round and who did not, why, and how alike their updates were.</summary>
static class FederateExplainRoundCommand
{
    static readonly Argument<int> RoundNumber = new("round") { Description = "The round, from 1 on" };

    public static Command Create()
    {
        Command explain = new("explain-round", "Explains a round of a federated run: who dropped and why, restarts, bytes, losses, drift, what it cost in privacy") { FederateInitCommand.Folder, RoundNumber, FederateStorage.Store, FederateStorage.Blobs };
        explain.SetAction((parsed, cancel) => Task.FromResult(Run(parsed, cancel)));
        return explain;
    }

    static int Run(ParseResult parsed, CancellationToken cancel)
    {
        using Session session = new(parsed);
        string folder = parsed.GetRequiredValue(FederateInitCommand.Folder);
        int number = parsed.GetRequiredValue(RoundNumber);
        if (FederateStorage.IsInFolder(parsed) && !Authority.IsIn(folder))
            throw new CoppiceException($"{folder}: holds no federated run; 'coppice federate init {folder} --host NAME' makes one");
        string driven = Path.Combine(folder, FederateServeCommand.DrivenFolder);
        if (RunJournal.ReadRecords(driven) is { } records)
            Driven(session, records.FirstOrDefault(record => record.Round == number) ?? throw new CoppiceException($"{folder}: has {records.Count} rounds that are closed, and no round {number}"));
        else
            Stored(session, parsed, folder, number, cancel);
        return ExitCode.Done;
    }

    static void Stored(Session session, ParseResult parsed, string folder, int number, CancellationToken cancel)
    {
        using IRunStore store = FederateStorage.OpenStore(parsed, folder);
        RunRow run = store.FindRun() ?? throw new CoppiceException($"{folder}: no run was served yet");
        IReadOnlyList<RoundRow> rounds = store.Rounds(run.Id);
        RoundRow round = rounds.FirstOrDefault(row => row.Number == number) ?? throw new CoppiceException($"{folder}: has {rounds.Count} rounds, and no round {number}");
        RoundExplanation explained = RoundExplanation.Of(store, new BlobStore(Path.Combine(parsed.GetValue(FederateStorage.Blobs) ?? folder, "blobs")), run, round, cancel);
        session.Line(string.Create(CultureInfo.InvariantCulture, $"round {number} is {round.State.ToString().ToLowerInvariant()}: opened {Time(round.Opened)}, {(round.Closed is { } closed ? $"closed after {(closed - round.Opened).TotalSeconds:0.0} s" : $"waits until {Time(round.Deadline)}")}")
            + (round.Attempt > 1 ? "; its deadline was moved" : "") + (explained.Change is { } change ? string.Create(CultureInfo.InvariantCulture, $"; the model moves by {change:G4}") : ""));
        session.Table(["client", "became", "asked", "last in", "windows", "loss", "norm", "cosine", "drift", "bytes up", "bytes down"], explained.Clients.Select(client => (string[])[
            client.Answer.Assignment.Client, client.Answer.Assignment.State.ToString().ToLowerInvariant(), $"{client.Answer.Assignment.Epoch} times", client.RoundsSince is { } since ? $"{since} before" : "never",
            Number(client.Answer.Update?.Samples), client.Answer.Update is { } update ? string.Create(CultureInfo.InvariantCulture, $"{update.LossBefore:0.000} -> {update.LossAfter:0.000}") : "",
            Real(client.Answer.Update?.Norm), Real(client.Cosine), Real(client.Drift), Number(client.Answer.Assignment.BytesUp), Number(client.Answer.Assignment.BytesDown)]));
        foreach (AssignmentRow dropped in explained.Clients.Select(client => client.Answer.Assignment).Where(assignment => assignment.Reason is not null))
            session.Line($"{dropped.Client}: {dropped.Reason}");
        session.Document(json =>
        {
            json.WriteNumber("round", number);
            json.WriteString("state", round.State.ToString().ToLowerInvariant());
            json.Number("change", explained.Change);
            json.Array("clients", explained.Clients, client =>
            {
                json.WriteString("client", client.Answer.Assignment.Client);
                json.WriteString("state", client.Answer.Assignment.State.ToString().ToLowerInvariant());
                json.WriteString("reason", client.Answer.Assignment.Reason);
                json.WriteNumber("asked", client.Answer.Assignment.Epoch);
                json.Number("roundsSince", client.RoundsSince);
                json.Number("samples", client.Answer.Update?.Samples);
                json.Number("lossBefore", client.Answer.Update?.LossBefore);
                json.Number("lossAfter", client.Answer.Update?.LossAfter);
                json.Number("norm", client.Answer.Update?.Norm);
                json.Number("cosine", client.Cosine);
                json.Number("drift", client.Drift);
                json.WriteNumber("bytesUp", client.Answer.Assignment.BytesUp);
                json.WriteNumber("bytesDown", client.Answer.Assignment.BytesDown);
            });
        });
    }

    // Of a run that one process drives there are records, and no updates.
    static void Driven(Session session, RoundRecord record)
    {
        if (record.Lost is { } lost)
            session.Line($"round {record.Round} has no result, the model is the one before: {lost}");
        else
            session.Line(string.Create(CultureInfo.InvariantCulture, $"round {record.Round} took {record.Seconds:0.0} s: {RoundLog.Losses(record, "0.000", "loss")}, {record.BytesUp:N0} bytes up, {record.BytesDown:N0} down")
                + (record.Epsilon is { } epsilon ? string.Create(CultureInfo.InvariantCulture, $"; epsilon {epsilon:0.00} with it") : ""));
        session.Table(["client", "windows", "loss", "norm", "bytes up"], record.Clients.Select(client => (string[])[
            client.Client, record.Secure is null ? Number(client.Samples) : "", double.IsNaN(client.LossBefore) ? "" : string.Create(CultureInfo.InvariantCulture, $"{client.LossBefore:0.000} -> {client.LossAfter:0.000}"), Real(client.Norm), Number(client.BytesUp)]));
        if (record.Secure is { } secure)
            session.Line($"their sum alone: keys of {secure.Keys} clients, {secure.Minimum} or more to the end, masks with {secure.Neighbours} others each");
        foreach (DroppedClient dropped in record.Dropped)
            session.Line($"{dropped.Client}: {dropped.Reason}");
        session.Document(json =>
        {
            json.WriteNumber("round", record.Round);
            json.WriteString("state", record.Lost is null ? "closed" : "lost");
            json.WriteString("reason", record.Lost);
            json.Number("epsilon", record.Epsilon);
            json.Array("clients", record.Clients, client =>
            {
                json.WriteString("client", client.Client);
                json.WriteNumber("samples", client.Samples);
                json.Number("lossBefore", client.LossBefore);
                json.Number("lossAfter", client.LossAfter);
                json.Number("norm", client.Norm);
                json.WriteNumber("bytesUp", client.BytesUp);
            });
            json.Array("dropped", record.Dropped, dropped =>
            {
                json.WriteString("client", dropped.Client);
                json.WriteString("reason", dropped.Reason);
            });
        });
    }

    static string Number(long? number) => number?.ToString("N0", CultureInfo.InvariantCulture) ?? "";

    static string Real(double? number) => number is { } real && double.IsFinite(real) ? real.ToString("0.000", CultureInfo.InvariantCulture) : "";

    static string Time(DateTimeOffset time) => time.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
