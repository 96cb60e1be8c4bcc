using System.Globalization;
using Coppice.Federation;

namespace Coppice.Cli;

/// <summary>A line a round.</summary>
sealed class RoundLog(Session session) : IProgress<RoundRecord>
{
    public void Report(RoundRecord round)
    {
        session.Say(string.Create(CultureInfo.InvariantCulture,
            $"   round {round.Round}: {round.Clients.Length} clients{(round.Dropped.Length > 0 ? $" ({round.Dropped.Length} dropped)" : "")}, held-out loss {round.LossBefore:F3} -> {round.LossAfter:F3} at the clients, "
            + $"{round.BytesUp:N0} bytes up ({100.0 * round.BytesUp / round.Float32BytesUp:G3}% of float32), {round.BytesDown:N0} down{(round.Epsilon is { } epsilon ? string.Create(CultureInfo.InvariantCulture, $", epsilon {epsilon:F2}") : "")}"));
        foreach (DroppedClient dropped in round.Dropped)
            session.Say($"   dropped {dropped.Client}: {dropped.Reason}");
    }
}
