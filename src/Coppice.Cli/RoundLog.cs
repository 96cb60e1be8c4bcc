using System.Globalization;
using System.Text.Json;
using Coppice.Federation;

namespace Coppice.Cli;

/// <summary>A line a round.</summary>
sealed class RoundLog(Session session, bool isVirtual = false) : IProgress<RoundRecord>
{
    public void Report(RoundRecord round)
    {
        if (round.Lost is { } reason)
        {
            session.Say($"   round {round.Round}: lost, the model is the one before: {reason}");
            return;
        }
        session.Say(string.Create(CultureInfo.InvariantCulture,
            $"   round {round.Round}: {round.Clients.Length} clients{(round.Dropped.Length > 0 ? $" ({round.Dropped.Length} dropped)" : "")}, {Losses(round, "F3", "held-out loss")}, "
            + $"{round.BytesUp:N0} bytes up ({100.0 * round.BytesUp / round.Float32BytesUp:G3}% of float32), {round.BytesDown:N0} down{(isVirtual ? string.Create(CultureInfo.InvariantCulture, $", {round.Seconds:0.#} s") : "")}{(round.Epsilon is { } epsilon ? string.Create(CultureInfo.InvariantCulture, $", epsilon {epsilon:F2}") : "")}"));
        if (round.Secure is { } secure)
            session.Say(string.Create(CultureInfo.InvariantCulture, $"   their sum alone: keys of {secure.Keys} clients, {secure.Minimum} or more to the end, masks with {secure.Neighbours} others each{(double.IsNaN(round.LossBefore) ? ", noise in each update" : $"; weights add up to {secure.Weight:N0}, {secure.Shortened} updates were shortened")}"));
        if (round.Masks is { } masks)
            session.Say(string.Create(CultureInfo.InvariantCulture, $"   {masks.Sparsity:P1} of pruned matrices is 0: {masks.Went:N0} numbers went, {masks.Came:N0} came back; votes took {masks.VoteBytes:N0} bytes, a client's masks take {masks.MaskBytes:N0}"));
        // Of thousands only what happened, not to whom.
        if (isVirtual)
            foreach (IGrouping<string, DroppedClient> kind in round.Dropped.GroupBy(dropped => dropped.Reason.Split(':')[0]))
                session.Say($"   dropped {kind.Count()}: {kind.Key}");
        else
            foreach (DroppedClient dropped in round.Dropped)
                session.Say($"   dropped {dropped.Client}: {dropped.Reason}");
    }

    /// <summary>A round's losses at its clients, if they told them.</summary>
    public static string Losses(RoundRecord round, string format, string what) => double.IsNaN(round.LossBefore)
        ? $"{what} not told"
        : $"{what} {round.LossBefore.ToString(format, CultureInfo.InvariantCulture)} -> {round.LossAfter.ToString(format, CultureInfo.InvariantCulture)} at the clients";

    /// <summary>What a whole run sent, and where its model is, if here; as JSON, with what else a command has to say.</summary>
    public static void End(Session session, IReadOnlyList<RoundRecord> rounds, string? output, Action<Utf8JsonWriter>? more = null)
    {
        session.Line(string.Create(CultureInfo.InvariantCulture, $"{rounds.Sum(round => round.BytesUp):N0} bytes up, {rounds.Sum(round => round.BytesDown):N0} bytes down in {rounds.Count} rounds{(output is null ? "" : $"; wrote {output}")}"));
        session.Document(json =>
        {
            json.Array("rounds", rounds, round =>
            {
                json.WriteNumber("round", round.Round);
                json.WriteNumber("clients", round.Clients.Length);
                json.WriteNumber("dropped", round.Dropped.Length);
                json.WriteNumber("bytesUp", round.BytesUp);
                json.WriteNumber("bytesDown", round.BytesDown);
                json.Number("loss", round.LossBefore);
                json.Number("epsilon", round.Epsilon);
                json.WriteNumber("seconds", round.Seconds);
                json.Number("shortened", round.Secure?.Shortened);
                json.WriteString("lost", round.Lost);
                json.Number("sparsity", round.Masks?.Sparsity);
                json.Number("voteBytes", round.Masks?.VoteBytes);
            });
            more?.Invoke(json);
            json.WriteString("artifact", output);
        });
    }
}
