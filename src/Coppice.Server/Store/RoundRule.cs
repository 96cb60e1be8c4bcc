namespace Coppice.Server.Store;

/// <summary>What becomes of an open round.</summary>
enum RoundStep
{
    /// <summary>It stays open.</summary>
    None,

    /// <summary>Its updates are to be aggregated.</summary>
    Closing,

    /// <summary>It has a new deadline.</summary>
    Extended,

    /// <summary>The run cannot go on.</summary>
    Failed,
}

/// <summary>When a round ends: with enough updates, when nobody is left to wait for, or at its deadline.</summary>
/// <param name="Wanted">Updates that end a round at once; 0 wants one of every client asked.</param>
/// <param name="Minimum">Updates without which there is no result.</param>
/// <param name="Extension">How much later the deadline is where it found too few; once.</param>
readonly record struct RoundRule(int Wanted, int Minimum, TimeSpan Extension)
{
    /// <summary>What becomes of a round now.</summary>
    /// <param name="received">Updates that are in, of clients that are not revoked.</param>
    /// <param name="waiting">Clients that may still answer.</param>
    /// <param name="asked">Clients that were asked.</param>
    public RoundStep Decide(RoundRow round, int received, int waiting, int asked, DateTimeOffset now)
    {
        bool enough = received >= Math.Max(Minimum, 1), due = now >= round.Deadline;
        if (enough && (received >= (Wanted == 0 ? asked : Math.Min(Wanted, asked)) || waiting == 0 || due))
            return RoundStep.Closing;
        if (waiting == 0)
            return RoundStep.Failed;
        return !due ? RoundStep.None : round.Attempt == 1 ? RoundStep.Extended : RoundStep.Failed;
    }
}
