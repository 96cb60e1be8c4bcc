using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Federation.Splits;

/// <summary>Clients made of one corpus by a split, for simulations.</summary>
/// <param name="Clients">Their text, by name.</param>
/// <param name="LeftOut">Documents that no client got.</param>
/// <param name="LabelDivergence">The mean Jensen-Shannon divergence of two clients' labels, in bits: 0 alike, 1 nothing shared; null where the split does not look at labels.</param>
public sealed record SplitCorpus(IReadOnlyList<ClientCorpus> Clients, int LeftOut, double? LabelDivergence)
{
    /// <summary>Deals a text's documents, and of each client's a share that is held out from training, at random and at least one where the client has two.</summary>
    /// <param name="spec">A text with labels (see <see cref="LabelledDocuments.Open"/>), or where the split looks at none a text of any kind; a .txt file is a play unless lines are its documents.</param>
    /// <param name="split">How.</param>
    /// <param name="seed">Seeds the deal and what is held out.</param>
    /// <param name="heldOut">The share held out, 0 to below 1; 0 holds nothing out.</param>
    /// <param name="field">The field of a .jsonl file, or the column of a .tsv, that is the label.</param>
    /// <param name="options">How the text is read.</param>
    /// <param name="cancel">Stops between documents.</param>
    /// <exception cref="CoppiceException">There is no such text, it has no labels, or its documents are too few.</exception>
    public static SplitCorpus Open(string spec, ISplit split, int seed, double heldOut = 0.1, string field = "label", CorpusOptions? options = null, CancellationToken cancel = default)
    {
        bool labelled = split.UsesLabels || spec == "sdk" || Directory.Exists(spec) || Path.GetExtension(spec) is ".tsv" || (Path.GetExtension(spec) is ".txt" && options?.Unit != DocumentUnit.Line);
        IReadOnlyList<LabelledDocument> documents = labelled
            ? LabelledDocuments.Open(spec, field, options, cancel)
            : [.. Corpus.Open(spec, options, cancel).Documents.Select(document => new LabelledDocument(document, ""))];
        return Deal(spec, documents, split, seed, heldOut);
    }

    /// <summary>The same of documents at hand; <paramref name="name"/> is the corpus's.</summary>
    public static SplitCorpus Deal(string name, IReadOnlyList<LabelledDocument> documents, ISplit split, int seed, double heldOut = 0.1)
    {
        if (!(heldOut is >= 0 and < 1))
            throw new CoppiceException($"split '{split.Name}': a share of {heldOut} held out, wanted 0 to below 1");
        IReadOnlyList<ClientShare> shares = split.Deal([.. documents.Select(document => document.Label)], Seeds.Generator(seed, "split", 0));
        return new SplitCorpus(
            [.. shares.Select(share => Client(name, documents, share, heldOut, Seeds.Generator(seed, "held out", 0, share.Client)))],
            documents.Count - shares.Sum(share => share.Documents.Length),
            split.UsesLabels ? Divergence(documents, shares) : null);
    }

    static ClientCorpus Client(string name, IReadOnlyList<LabelledDocument> documents, ClientShare share, double heldOut, Random random)
    {
        int[] own = [.. share.Documents];
        random.Shuffle(own);
        int held = heldOut == 0 ? 0 : Math.Clamp((int)Math.Round(heldOut * own.Length), Math.Min(1, own.Length - 1), own.Length - 1);
        return new ClientCorpus(share.Client, Part(own.AsSpan(held), ""), held == 0 ? null : Part(own.AsSpan(0, held), ":held-out"));

        Corpus Part(ReadOnlySpan<int> places, string part) => new($"{name}/{share.Client}{part}", [.. places.ToArray().Order().Select(place => documents[place].Document)]);
    }

    // Labels take the place of tokens.
    static double Divergence(IReadOnlyList<LabelledDocument> documents, IReadOnlyList<ClientShare> shares)
    {
        Dictionary<string, int> ids = documents.Select(document => document.Label).Distinct(StringComparer.Ordinal).Index().ToDictionary(label => label.Item, label => label.Index, StringComparer.Ordinal);
        return NonIidReport.Measure([.. shares.Select(share => (share.Client, share.Documents.Length, share.Documents.Select(place => ids[documents[place].Label]).ToArray()))], ids.Count).MeanDivergence;
    }
}
