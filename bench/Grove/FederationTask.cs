using System.Globalization;
using Coppice.Evaluation;
using Coppice.Federation.Splits;
using Coppice.Models;
using Coppice.Text;

namespace Coppice.Bench;

/// <summary>What a model does on a task's held-out text.</summary>
public abstract class Reading
{
    /// <summary>How well, by each of the task's metrics.</summary>
    public abstract IReadOnlyList<Score> Levels { get; }

    /// <summary>How much higher each metric is than another model's, paired.</summary>
    public abstract IReadOnlyList<Score> Over(Reading other);
}

/// <summary>Something that clients train a decoder for: their text as its tokens, and a measure on text that is held out. Seed 1 decides what is held out, whatever seed a model trains with.</summary>
public abstract class FederationTask
{
    const int TextSeed = 1;
    const double HeldOutShare = 0.1;

    /// <summary>Documents of labels that have enough of them, and some of each held out.</summary>
    /// <param name="documents">All documents.</param>
    /// <param name="most">The most documents of a label.</param>
    /// <param name="fewest">Labels with fewer are left out.</param>
    protected FederationTask(IEnumerable<LabelledDocument> documents, int most, int fewest)
    {
        Random random = new(TextSeed);
        List<LabelledDocument> train = [], held = [];
        foreach (LabelledDocument[] label in documents.GroupBy(document => document.Label).Select(label => label.ToArray()).Where(label => label.Length >= fewest))
        {
            random.Shuffle(label);
            int kept = Math.Min(most, label.Length), measured = (int)Math.Round(HeldOutShare * kept);
            held.AddRange(label[..measured]);
            train.AddRange(label[measured..kept]);
        }
        LabelledDocument[] mixed = [.. held];
        random.Shuffle(mixed);
        (Train, HeldOut, Labels) = (train, mixed, [.. train.Select(document => document.Label).Distinct().Order(StringComparer.Ordinal)]);
    }

    /// <summary>What is trained on.</summary>
    public IReadOnlyList<LabelledDocument> Train { get; }

    /// <summary>What is not, in an order by lot.</summary>
    public IReadOnlyList<LabelledDocument> HeldOut { get; }

    /// <summary>The labels of both, in order.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>The heading of its table.</summary>
    public abstract string Title { get; }

    /// <summary>What is trained and measured, in a few sentences.</summary>
    public abstract string About { get; }

    /// <summary>Its metrics, and how many digits behind the point each is worth.</summary>
    public abstract IReadOnlyList<(string Name, int Digits)> Metrics { get; }

    /// <summary>The model's sizes.</summary>
    public abstract DecoderConfig Config { get; }

    /// <summary>Tokens of a training window.</summary>
    public abstract int WindowLength { get; }

    /// <summary>Rounds of training.</summary>
    public abstract int Rounds { get; }

    /// <summary>How equal clients are dealt, and how different ones are.</summary>
    public abstract (string Equal, string Different) Splits { get; }

    /// <summary>Documents as one run of tokens, in order.</summary>
    public abstract int[] Tokens(IEnumerable<LabelledDocument> documents);

    /// <summary>Tokens of all clients' text to calibrate on, in windows.</summary>
    public IReadOnlyList<int[]> Calibration(int tokens)
    {
        LabelledDocument[] mixed = [.. Train];
        new Random(TextSeed).Shuffle(mixed);
        return [.. Tokens(mixed).Take(tokens).Chunk(WindowLength)];
    }

    /// <summary>Reads the held-out text with a model.</summary>
    public abstract Reading Read(DecoderModel model);

    /// <summary>A text's name to a reader.</summary>
    protected static string NameOf(string spec) => spec == "sdk" ? "the SDK's documentation" : $"`{Path.GetFileName(Path.TrimEndingDirectorySeparator(spec))}`";

    /// <summary>Labelled documents of a text; of a folder each line is one.</summary>
    protected static IReadOnlyList<LabelledDocument> Open(string spec) =>
        LabelledDocuments.Open(spec, options: new CorpusOptions { Unit = Directory.Exists(spec) ? DocumentUnit.Line : DocumentUnit.File });

    /// <summary>A tokenizer of the training text. The first token parts documents, the special ones follow.</summary>
    protected Tokenizer NewTokenizer(int vocabulary, params IEnumerable<string> specials) =>
        BpeTrainer.Train(Train.Select(document => document.Document.Text), new BpeTraining { VocabularySize = vocabulary, SpecialTokens = ["<|endoftext|>", .. specials.Select(name => $"<|{name}|>")] });

    /// <summary>A sentence in the same words everywhere.</summary>
    protected static string Say(FormattableString sentence) => sentence.ToString(CultureInfo.InvariantCulture);

    /// <summary>A Llama without shared key heads.</summary>
    protected static DecoderConfig Llama(int width, int inner, int layers, int vocabulary, int context) => new()
    {
        HiddenSize = width,
        IntermediateSize = inner,
        LayerCount = layers,
        HeadCount = 4,
        KeyValueHeadCount = 4,
        HeadWidth = width / 4,
        VocabularySize = vocabulary,
        ContextLength = context,
    };
}
