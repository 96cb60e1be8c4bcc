using System.CommandLine;
using Coppice.Federation;
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
    /// <summary>Those of --clients.</summary>
    public static IReadOnlyList<ClientText> Open(Session session, LanguageModel language, ParseResult parsed, int context, CancellationToken cancel) =>
        [.. ClientCorpus.Open(parsed.GetValue(FederateCommand.Clients) ?? "sdk", new CorpusOptions { SdkRoot = parsed.GetValue(TextArgument.Sdk) }, cancel).Select(corpus => new ClientText(
            corpus.Client, corpus.Train.Documents.Count, TokenWindows.Tokenize(language.Tokenizer, corpus.Train.Documents), Apart(session, language, corpus, context)))];

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
