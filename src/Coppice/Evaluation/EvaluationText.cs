using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Evaluation;

/// <summary>A document as ids, BOS first where the tokenizer has one.</summary>
public sealed record EvaluationDocument(string Source, ReadOnlyMemory<int> Ids);

/// <summary>What the clusters of an error are.</summary>
public enum ErrorUnit
{
    /// <summary>Documents.</summary>
    Document,

    /// <summary>Windows, where there are too few documents to tell an error from.</summary>
    Window,
}

/// <summary>Documents, tokenized once and cut into windows by a protocol: what every language-model score is measured on.</summary>
public sealed class EvaluationText
{
    /// <summary>With fewer documents than this, the clusters of an error are windows.</summary>
    public const int FewestDocuments = 10;

    readonly string textName;
    readonly int vocabulary;
    readonly int[] clusterOfWindow;

    EvaluationText(Corpus corpus, Tokenizer tokenizer, Protocol protocol, EvaluationDocument[] documents, Window[] windows)
    {
        (textName, vocabulary, Protocol, Documents, Windows) = (corpus.Name, tokenizer.Count, protocol, documents, windows);
        int[] scored = [.. windows.Select(window => window.Document).Distinct()];
        ErrorUnit = scored.Length < FewestDocuments ? ErrorUnit.Window : ErrorUnit.Document;
        clusterOfWindow = [.. windows.Select((window, index) => ErrorUnit == ErrorUnit.Window ? index : Array.BinarySearch(scored, window.Document))];
        ClusterCount = clusterOfWindow[^1] + 1;
        double[] tokens = new double[ClusterCount], bytes = new double[ClusterCount];
        for (int w = 0; w < windows.Length; w++)
        {
            tokens[clusterOfWindow[w]] += windows[w].Scored;
            bytes[clusterOfWindow[w]] += Bytes(documents[windows[w].Document].Ids.Span, windows[w], tokenizer);
        }
        (ClusterTokens, ClusterBytes) = (tokens, bytes);
        (ScoredTokens, ScoredBytes) = (checked((int)tokens.Sum()), (long)bytes.Sum());
        Signature = string.Create(CultureInfo.InvariantCulture,
            $"text={corpus.Hash}|tokenizer={tokenizer.Hash}|protocol={protocol.Name}|context={protocol.Context}|stride={protocol.Stride}"
            + $"|minCharacters={protocol.MinimumCharacters}|prefix={(tokenizer.BosId is null ? "none" : "bos")}|errors={(ErrorUnit == ErrorUnit.Document ? "document" : "window")}");
    }

    /// <summary>Tokenizes and cuts.</summary>
    /// <exception cref="CoppiceException">The protocol cannot be, or leaves nothing to score.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> was raised.</exception>
    public static EvaluationText Create(Corpus corpus, Tokenizer tokenizer, Protocol protocol, CancellationToken cancel = default)
    {
        protocol.Validate();
        List<EvaluationDocument> documents = [];
        List<Window> windows = [];
        foreach (Document document in Texts(corpus, protocol))
        {
            cancel.ThrowIfCancellationRequested();
            List<int> ids = [];
            if (tokenizer.BosId is { } bos)
                ids.Add(bos);
            tokenizer.Encode(document.Text, ids);
            windows.AddRange(Window.Cut(documents.Count, ids.Count, protocol));
            documents.Add(new EvaluationDocument(document.Source, ids.ToArray()));
        }
        if (windows.Count == 0)
            throw new CoppiceException($"Evaluation: '{corpus.Name}' ({corpus.ByteCount:N0} bytes) leaves nothing to score with protocol {protocol.Name} and a context of {protocol.Context:N0} tokens; take more text or a shorter context");
        return new EvaluationText(corpus, tokenizer, protocol, [.. documents], [.. windows]);
    }

    /// <summary>How the text was cut.</summary>
    public Protocol Protocol { get; }

    /// <summary>The documents that were long enough; with <see cref="Windowing.Concatenated"/> a single one, all joined.</summary>
    public IReadOnlyList<EvaluationDocument> Documents { get; }

    /// <summary>The windows, document after document.</summary>
    public IReadOnlyList<Window> Windows { get; }

    /// <summary>Tokens scored.</summary>
    public int ScoredTokens { get; }

    /// <summary>Bytes of UTF-8 that the scored tokens stand for.</summary>
    public long ScoredBytes { get; }

    /// <summary>What the clusters of an error are.</summary>
    public ErrorUnit ErrorUnit { get; }

    /// <summary>Text, tokenizer, protocol, context, stride, prefix and error unit, in one line.</summary>
    public string Signature { get; }

    internal int ClusterCount { get; }

    /// <summary>Tokens scored in each cluster.</summary>
    internal double[] ClusterTokens { get; }

    /// <summary>Bytes of the tokens scored in each cluster.</summary>
    internal double[] ClusterBytes { get; }

    /// <summary>The signature of a score that sums over scored tokens and divides by tokens or bytes.</summary>
    internal string SignatureOf(string reduction, ActivationFormat activations) =>
        $"{Signature}|reduction={reduction}|activations={ActivationFormats.NameOf(activations)}";

    /// <summary>Each cluster's sum of a number a scored token, in the windows' order.</summary>
    internal double[] ClusterTotals<T>(ReadOnlySpan<T> tokens, Func<T, double> number)
    {
        double[] totals = new double[ClusterCount];
        int next = 0;
        for (int w = 0; w < Windows.Count; w++)
            for (int i = 0; i < Windows[w].Scored; i++)
                totals[clusterOfWindow[w]] += number(tokens[next++]);
        return totals;
    }

    /// <summary>The document and the place in it of a scored token, for a message.</summary>
    internal string Place(int token)
    {
        int w = 0;
        while (token >= Windows[w].Scored)
            token -= Windows[w++].Scored;
        Window window = Windows[w];
        return $"'{textName}', document '{Documents[window.Document].Source}', token {window.Start + window.FirstScored + token}";
    }

    /// <summary>Throws unless the model can read the windows.</summary>
    internal void Check(Model model)
    {
        if (!model.IsCausal)
            throw new CoppiceException($"Evaluation: a {model.Family} model reads whole texts and predicts no next token; a classifier is measured on labelled texts");
        if (Protocol.Context > model.ContextLength)
            throw new CoppiceException($"Evaluation: windows of {Protocol.Context:N0} tokens, the model's context holds {model.ContextLength:N0}: ask for a shorter context");
        if (vocabulary > model.VocabularySize)
            throw new CoppiceException($"Evaluation: the tokenizer has {vocabulary:N0} tokens, the model {model.VocabularySize:N0}: they do not belong together");
    }

    static IEnumerable<Document> Texts(Corpus corpus, Protocol protocol)
    {
        IEnumerable<Document> texts = corpus.Documents.Where(document => document.Text.Length >= protocol.MinimumCharacters);
        return protocol.Windowing == Windowing.Concatenated ? [new Document(corpus.Name, string.Join("\n\n", texts.Select(text => text.Text)))] : texts;
    }

    static long Bytes(ReadOnlySpan<int> ids, Window window, Tokenizer tokenizer)
    {
        long bytes = 0;
        for (int i = window.Start + window.FirstScored; i < window.Start + window.Length; i++)
            bytes += tokenizer.Bytes(ids[i - 1], ids[i]).Length;
        return bytes;
    }
}
