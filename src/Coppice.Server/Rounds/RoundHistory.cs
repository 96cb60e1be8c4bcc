using Coppice.Federation;
using Coppice.Server.Store;

namespace Coppice.Server.Rounds;

/// <summary>Closed rounds as the simulation records them.</summary>
static class RoundHistory
{
    /// <summary>What happened in a round.</summary>
    /// <param name="store">Where it is kept.</param>
    /// <param name="round">A round that is closed.</param>
    /// <param name="numbers">How many numbers the model has.</param>
    public static RoundRecord Record(IRunStore store, RoundRow round, long numbers)
    {
        IReadOnlyList<AnswerRow> answers = store.Answers(round.Id);
        ClientRecord[] clients = [.. store.Survivors(round.Id).Select(part =>
            new ClientRecord(part.Client, part.Update.Samples, part.Update.LossBefore, part.Update.LossAfter, part.Update.Norm, part.Update.Bytes))];
        HashSet<string> survivors = [.. clients.Select(client => client.Client)];
        double samples = clients.Sum(client => (double)client.Samples);
        return new RoundRecord(round.Number, [.. clients],
            [.. answers.Where(answer => !survivors.Contains(answer.Assignment.Client)).Select(answer => new DroppedClient(answer.Assignment.Client, answer.Assignment.Reason ?? "was revoked"))],
            answers.Sum(answer => answer.Assignment.BytesUp), answers.Sum(answer => answer.Assignment.BytesDown),
            4 * numbers * answers.Count(answer => answer.Assignment.BytesUp > 0), 4 * numbers * answers.Count(answer => answer.Assignment.BytesDown > 0),
            clients.Sum(client => client.Samples * client.LossBefore) / samples, clients.Sum(client => client.Samples * client.LossAfter) / samples,
            ((round.Closed ?? round.Opened) - round.Opened).TotalSeconds);
    }
}
