using System.CommandLine;
using Coppice.Text;

namespace Coppice.Cli;

/// <summary>Opens what a --data or --calibrate option names.</summary>
static class TextArgument
{
    public const string Specs = "a file, a folder or sdk[:train|:valid|:test|:client/NAME]";

    public static readonly Option<string?> Sdk = Cli.Options.Text("--sdk", "DIR", "The .NET SDK whose documentation is the text sdk; the running one by default");
    public static readonly Option<string?> Documents = Cli.Options.Choice("--documents", "What is one document of a .txt or .md file; file by default", "file", "line");

    public static Corpus Open(string spec, ParseResult parsed, CancellationToken cancel) => Corpus.Open(spec, Options(parsed), cancel);

    /// <summary>How a text is read.</summary>
    public static CorpusOptions Options(ParseResult parsed) => new()
    {
        Unit = parsed.GetValue(Documents) == "line" ? DocumentUnit.Line : DocumentUnit.File,
        SdkRoot = parsed.GetValue(Sdk),
    };

    /// <summary>The first documents of a text, up to a number of tokens; the last of them is cut there.</summary>
    public static Corpus First(Corpus corpus, Tokenizer tokenizer, int tokens)
    {
        List<Document> kept = [];
        List<int> ids = [];
        foreach (Document document in corpus.Documents)
        {
            ids.Clear();
            if (tokenizer.BosId is { } bos)
                ids.Add(bos);
            tokenizer.Encode(document.Text, ids);
            if (ids.Count > tokens)
                kept.Add(document with { Text = tokenizer.Decode([.. ids.Take(tokens)]).TrimEnd('\uFFFD') });
            else
                kept.Add(document);
            tokens -= ids.Count;
            if (tokens <= 0)
                break;
        }
        return new Corpus(corpus.Name, [.. kept.Where(document => document.Text.Length > 0)]);
    }
}
