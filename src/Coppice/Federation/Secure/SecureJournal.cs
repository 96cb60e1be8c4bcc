using System.Text.Json;
using Coppice.Formats;

namespace Coppice.Federation.Secure;

/// <summary>A client's last attempt in a run.</summary>
/// <param name="Signed">Whether it has signed a set of survivors, after which a sum with its update in it may be open.</param>
sealed record SecureEntry(int Round, string Attempt, bool Signed);

/// <summary>The journal as it lies on disk. It holds no secret.</summary>
sealed record SecurePage(string Format, Dictionary<string, SecureEntry> Runs);

/// <summary>
/// What a client must not forget: the attempts it took part in. Keys and seeds are in memory alone, so that a restart ends the attempt, and no attempt is begun twice. Once a set of survivors was signed, the round is
/// over for the client: another sum of the same updates over other clients would give the difference away.
/// </summary>
sealed class SecureJournal
{
    const string Format = "coppice.secure.journal.1";

    readonly string? path;
    readonly SecurePage page;

    /// <summary>Opens the journal in a file, or begins one; null keeps it in memory.</summary>
    /// <exception cref="Tensors.CoppiceException">The file is damaged.</exception>
    public SecureJournal(string? path)
    {
        this.path = path;
        page = path is null || !File.Exists(path) ? new SecurePage(Format, new(StringComparer.Ordinal)) : Message.Parse(path, File.ReadAllBytes(path), FederationJson.Default.SecurePage);
        if (page.Format != Format)
            throw FormatError.At(path!, $"is '{page.Format}', wanted {Format}");
    }

    /// <summary>Whether a run had an attempt.</summary>
    public bool Knows(string run) => page.Runs.ContainsKey(run);

    /// <summary>Begins an attempt, once.</summary>
    /// <exception cref="Tensors.CoppiceException">It was begun before, or its round is over for this client.</exception>
    public void Begin(string client, SecureSetup setup)
    {
        string name = $"attempt {setup.Attempt} at round {setup.Round} for client '{client}'";
        if (page.Runs.GetValueOrDefault(setup.Run) is { } last)
        {
            if (last.Attempt == setup.Attempt)
                throw FormatError.At(name, "was begun before; its keys went with the process that had them, and masks are not made twice");
            if (last.Round > setup.Round)
                throw FormatError.At(name, $"comes after round {last.Round} of this run");
            if (last.Round == setup.Round && last.Signed)
                throw FormatError.At(name, "a sum of this round may be open already, since its survivors were signed; a second one over other clients would give updates away");
        }
        Write(setup.Run, new SecureEntry(setup.Round, setup.Attempt, Signed: false));
    }

    /// <summary>Notes that a set of survivors is about to be signed.</summary>
    public void Sign(string run) => Write(run, page.Runs[run] with { Signed = true });

    void Write(string run, SecureEntry entry)
    {
        page.Runs[run] = entry;
        if (path is not null)
            AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, page, FederationJson.Default.SecurePage));
    }
}
