using System.CommandLine;
using System.Globalization;
using Coppice.Federation;
using Coppice.Federation.Splits;
using Coppice.Models;
using Coppice.Text;
using Coppice.Training;

namespace Coppice.Cli;

/// <summary>A simulated client's text as token ids.</summary>
/// <param name="Name">The client's.</param>
/// <param name="Documents">How many documents it trains on.</param>
/// <param name="Tokens">What it trains on.</param>
/// <param name="HeldOut">What it is measured on, where that is apart.</param>
sealed record ClientText(string Name, int Documents, int[] Tokens, int[]? HeldOut)
{
    public static readonly Option<string?> Clients = Options.Text("--clients", "sdk|DIR|FILE", "Clients: a folder with a file or subfolder of text for each, or sdk (the default) for assemblies' documentation; with --split a text to deal to clients, which may be a file");
    public static readonly Option<ISplit?> Split = Options.Named("--split", "NAME", $"Deals the text's documents to clients: {string.Join(", ", SplitRegistry.Forms)}", SplitRegistry.Find);
    public static readonly Option<string?> LabelField = Options.Text("--label-field", "NAME", "The field of a .jsonl file, or the column of a .tsv, that is a document's label; label by default");
    public static readonly Option<double?> HeldOutShare = Options.OptionalNumber("--held-out-share", "The share of each client's documents that --split holds out from training; 0.1 by default");

    /// <summary>Those of --clients, dealt by --split where there is one.</summary>
    public static IReadOnlyList<ClientText> Open(Session session, LanguageModel language, ParseResult parsed, int context, CancellationToken cancel) =>
        [.. Corpora(session, parsed, cancel).Select(corpus => new ClientText(corpus.Client, corpus.Train.Documents.Count, TokenWindows.Tokenize(language.Tokenizer, corpus.Train.Documents), Apart(session, language, corpus, context)))];

    static IReadOnlyList<ClientCorpus> Corpora(Session session, ParseResult parsed, CancellationToken cancel)
    {
        (string spec, CorpusOptions options) = (parsed.GetValue(Clients) ?? "sdk", TextArgument.Options(parsed));
        if (parsed.GetValue(Split) is not { } split)
            return ((Option[])[LabelField, HeldOutShare]).FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } alone
                ? throw new MisuseException($"{alone.Name} goes with --split")
                : ClientCorpus.Open(spec, options, cancel);
        SplitCorpus dealt = SplitCorpus.Open(spec, split, session.Seed, parsed.GetValue(HeldOutShare) ?? 0.1, parsed.GetValue(LabelField) ?? "label", options, cancel);
        string labels = dealt.LabelDivergence is { } bits ? string.Create(CultureInfo.InvariantCulture, $"; their labels differ by {bits:F3} bits") : "", left = dealt.LeftOut > 0 ? string.Create(CultureInfo.InvariantCulture, $"; {dealt.LeftOut:N0} documents of smaller labels left out") : "";
        session.Say($"split {split.Name}: {dealt.Clients.Count} clients{labels}{left}");
        return dealt.Clients;
    }

    // Its held-out part, where that is there and long enough for a window.
    static int[]? Apart(Session session, LanguageModel language, ClientCorpus corpus, int context)
    {
        if (corpus.HeldOut is null)
            return null;
        int[] tokens = TokenWindows.Tokenize(language.Tokenizer, corpus.HeldOut.Documents);
        if (tokens.Length > 2 * context)
            return tokens;
        session.Say($"client {corpus.Client}: its held-out part has {tokens.Length:N0} tokens, wanted more than {2 * context}; it is measured on its training text");
        return null;
    }
}
