using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Privacy;

/// <summary>A round's part of the privacy that was spent.</summary>
/// <param name="Run">The run.</param>
/// <param name="Round">1-based.</param>
/// <param name="Probability">With which a client took part.</param>
/// <param name="Noise">Over the most that one client can change.</param>
public sealed record PrivacyCharge(string Run, int Round, double Probability, double Noise);

/// <summary>The ledger as it lies on disk. The key is secret: whoever has it can take the noise off.</summary>
sealed record LedgerPage(string Format, byte[] Key, double Delta, ImmutableArray<PrivacyCharge> Charges);

/// <summary>
/// What was spent on one group of clients, over all rounds of all runs that share it. A round is charged, and the charge is on disk, before its noise is drawn, and one that would pass the budget is
/// refused; a round that is done over after a stop is charged once, and has the same noise.
/// </summary>
public sealed class PrivacyLedger
{
    const string Format = "coppice.privacy.1";

    readonly string? path;
    readonly PrivacyOptions options;
    LedgerPage page;

    PrivacyLedger(string? path, PrivacyOptions options, LedgerPage page) => (this.path, this.options, this.page) = (path, options, page);

    /// <summary>Opens the ledger in a file, or begins one; null keeps it in memory.</summary>
    /// <exception cref="CoppiceException">The file is damaged, or is kept for another delta.</exception>
    public static PrivacyLedger Open(string? path, PrivacyOptions options)
    {
        if (path is null || !File.Exists(path))
        {
            PrivacyLedger ledger = new(path, options, new LedgerPage(Format, options.NewKey(), options.Delta, []));
            ledger.Save();
            return ledger;
        }
        LedgerPage page = Message.Parse(path, File.ReadAllBytes(path), FederationJson.Default.LedgerPage);
        if (page.Format != Format || page.Key.Length != 32)
            throw FormatError.At(path, $"is '{page.Format}' with a key of {page.Key.Length} bytes, wanted {Format} with 32");
        if (page.Delta != options.Delta)
            throw FormatError.At(path, string.Create(CultureInfo.InvariantCulture, $"was begun for delta {page.Delta}, the run has {options.Delta}; epsilons of two deltas do not add up"));
        if (page.Charges.Any(charge => charge.Round < 1 || charge.Probability is not (>= 0 and <= 1) || !(charge.Noise > 0)))
            throw FormatError.At(path, "has a charge without a round, a probability or noise");
        return new PrivacyLedger(path, options, page);
    }

    /// <summary>What was charged, in order.</summary>
    public IReadOnlyList<PrivacyCharge> Charges => page.Charges;

    /// <summary>epsilon of all that was charged.</summary>
    public double Epsilon => EpsilonOf(page.Charges);

    /// <summary>Charges a round, once, and returns epsilon with it.</summary>
    /// <exception cref="CoppiceException">It would pass the budget; nothing is charged.</exception>
    public double Charge(string run, int round, double probability, double noise)
    {
        if (page.Charges.FirstOrDefault(charge => charge.Run == run && charge.Round == round) is { } done)
            return done.Probability == probability && done.Noise == noise
                ? Epsilon
                : throw new CoppiceException($"Privacy: round {round} was charged for probability {done.Probability} and noise {done.Noise}, not {probability} and {noise}");
        ImmutableArray<PrivacyCharge> next = page.Charges.Add(new PrivacyCharge(run, round, probability, noise));
        double epsilon = EpsilonOf(next);
        if (!(epsilon <= options.Budget))
            throw new CoppiceException(string.Create(CultureInfo.InvariantCulture,
                $"Privacy: round {round} would bring epsilon to {epsilon:F3} at delta {options.Delta}, the budget is {options.Budget}; the run ends before it with {Epsilon:F3} spent"));
        page = page with { Charges = next };
        Save();
        return epsilon;
    }

    /// <summary>Secret random numbers of a round, the same each time.</summary>
    internal KeyedRandom Random(string run, int round, string purpose) => new(page.Key, string.Create(CultureInfo.InvariantCulture, $"{run}|{round}|{purpose}"));

    double EpsilonOf(ImmutableArray<PrivacyCharge> charges) =>
        RenyiAccountant.Epsilon(charges.GroupBy(charge => (charge.Probability, charge.Noise)).Select(group => (group.Key.Probability, group.Key.Noise, (long)group.Count())), options.Delta);

    void Save()
    {
        if (path is not null)
            AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, page, FederationJson.Default.LedgerPage));
    }
}
