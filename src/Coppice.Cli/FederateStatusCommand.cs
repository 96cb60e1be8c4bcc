using System.CommandLine;
using System.Globalization;
using Coppice.Federation;
using Coppice.Server.Certificates;
using Coppice.Server.Store;
using Coppice.Tensors;

namespace Coppice.Cli;

/// <summary>coppice federate status: what a run's store says, while it is served or not.</summary>
static class FederateStatusCommand
{
    static readonly Option<int> Events = Options.Integer("--events", "How many of the last events to show", value: 10);

    public static Command Create()
    {
        Command status = new("status", "Shows a federated run: its rounds, who is in, who was dropped and why, bytes") { FederateInitCommand.Folder, Events, FederateStorage.Store };
        status.SetAction(Run);
        return status;
    }

    static int Run(ParseResult parsed)
    {
        using Session session = new(parsed);
        string folder = parsed.GetRequiredValue(FederateInitCommand.Folder);
        if (FederateStorage.IsInFolder(parsed) && !Authority.IsIn(folder))
            throw new CoppiceException($"{folder}: holds no federated run; 'coppice federate init {folder} --host NAME' makes one");
        using IRunStore store = FederateStorage.OpenStore(parsed, folder);
        RunRow? run = store.FindRun();
        IReadOnlyList<ClientRow> clients = store.Clients();
        (RoundRow Round, IReadOnlyList<AnswerRow> Answers)[] rounds = [.. (run is null ? [] : store.Rounds(run.Id)).Select(round => (round, store.Answers(round.Id)))];

        IReadOnlyList<RoundRecord> driven = RunJournal.ReadRecords(Path.Combine(folder, FederateServeCommand.DrivenFolder)) ?? [];
        session.Line(run is null ? driven.Count > 0 ? $"a run that one process drives: {driven.Count} rounds closed" : clients.Any(client => client.Seen is not null) ? "a run that one process drives" : "no run was served yet" : $"run {Word(run.State)}{(run.Reason is { } reason ? $": {reason}" : "")}");
        session.Line();
        if (clients.Count > 0)
            session.Table(["client", "enrolled", "last seen", "state"], clients.Select(client => (string[])[client.Name, Time(client.Enrolled), Time(client.Seen), client.Revoked is null ? "in" : $"revoked {Time(client.Revoked)}"]));
        if (rounds.Length > 0)
            session.Table(["round", "state", "opened", "asked", "in", "waiting", "dropped", "bytes up", "bytes down"], rounds.Select(part => (string[])[
                Number(part.Round.Number), Word(part.Round.State), Time(part.Round.Opened), Number(part.Answers.Count), Number(Count(part, AssignmentState.Received)), Number(Count(part, AssignmentState.Waiting)),
                Number(Count(part, AssignmentState.Refused) + Count(part, AssignmentState.Failed) + Count(part, AssignmentState.Late)), Number(part.Answers.Sum(answer => answer.Assignment.BytesUp)), Number(part.Answers.Sum(answer => answer.Assignment.BytesDown))]));
        if (driven.Count > 0)
            session.Table(["round", "in", "dropped", "loss", "bytes up", "bytes down", "epsilon"], driven.Select(round => (string[])[
                Number(round.Round), Number(round.Clients.Length), Number(round.Dropped.Length), double.IsNaN(round.LossBefore) ? "" : round.LossBefore.ToString("0.000", CultureInfo.InvariantCulture), Number(round.BytesUp), Number(round.BytesDown),
                round.Epsilon?.ToString("0.00", CultureInfo.InvariantCulture) ?? ""]));
        foreach ((RoundRow round, IReadOnlyList<AnswerRow> answers) in rounds)
            foreach (AssignmentRow dropped in answers.Select(answer => answer.Assignment).Where(assignment => assignment.Reason is not null))
                session.Line($"round {round.Number}: {dropped.Client} {Word(dropped.State)}: {dropped.Reason}");
        foreach (RoundRecord round in driven.Where(round => round.Lost is not null))
            session.Line($"round {round.Round} has no result: {round.Lost}");
        foreach (RoundRecord round in driven)
            foreach (DroppedClient dropped in round.Dropped)
                session.Line($"round {round.Round}: {dropped.Client} dropped: {dropped.Reason}");
        foreach (EventRow entry in store.Events(parsed.GetValue(Events)))
            session.Line($"{Time(entry.Time)}  {entry.Kind}  {entry.Text}");

        session.Document(json =>
        {
            json.WriteString("state", run is null ? null : Word(run.State));
            json.WriteString("reason", run?.Reason);
            json.Array("clients", clients, client =>
            {
                json.WriteString("name", client.Name);
                json.WriteBoolean("revoked", client.Revoked is not null);
                json.WriteString("seen", client.Seen is null ? null : Time(client.Seen));
            });
            json.Array("rounds", rounds, part =>
            {
                json.WriteNumber("round", part.Round.Number);
                json.WriteString("state", Word(part.Round.State));
                json.Array("clients", part.Answers, answer =>
                {
                    json.WriteString("name", answer.Assignment.Client);
                    json.WriteString("state", Word(answer.Assignment.State));
                    json.WriteString("reason", answer.Assignment.Reason);
                    json.WriteNumber("bytesUp", answer.Assignment.BytesUp);
                    json.WriteNumber("bytesDown", answer.Assignment.BytesDown);
                });
            });
        });
        return ExitCode.Done;
    }

    static int Count((RoundRow Round, IReadOnlyList<AnswerRow> Answers) part, AssignmentState state) => part.Answers.Count(answer => answer.Assignment.State == state);

    static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    static string Time(DateTimeOffset? time) => time?.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture) ?? "";

    static string Word<T>(T state) where T : struct, Enum => state.ToString().ToLowerInvariant();
}
