using Coppice.Evaluation;
using Coppice.Federation.Splits;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Bench;

/// <summary>Classification of sentences. A language model of texts with their class before them classifies by Bayes' rule: the class is that which makes the text likeliest.</summary>
public sealed class ClassificationTask : FederationTask
{
    const int Vocabulary = 512, Length = 64, MostDocuments = 8000, FewestDocuments = 100, MostMeasured = 600, Piece = 8, Clients = 4, ShuffleSeed = 1;

    readonly string spec;
    readonly WorkerPool pool;
    readonly Tokenizer tokenizer;
    readonly LabelledDocument[] measured;

    /// <summary>Of a text: <c>sdk</c>, whose classes are assemblies, or a table with labels.</summary>
    public ClassificationTask(string spec, WorkerPool pool) : base(spec == "sdk" ? Open(spec).Select(Summary) : Open(spec), MostDocuments, FewestDocuments)
    {
        (this.spec, this.pool, tokenizer) = (spec, pool, NewTokenizer(Vocabulary, Labels));
        measured = [.. HeldOut.Take(MostMeasured)];
    }

    /// <inheritdoc/>
    public override string Title => $"Sentence classification: {NameOf(spec)}, {Labels.Count} classes";

    /// <inheritdoc/>
    public override string About => Say($"{Train.Count:N0} sentences, at most {MostDocuments:N0} of a class; accuracy on {measured.Length:N0} others, of which the largest class has {measured.CountBy(document => document.Label).Max(count => count.Value) / (double)measured.Length:0.000}. A federated client trains decoders, so the classifier is one: it is trained on pieces of {Piece} tokens of a sentence with a token of its class before each, and chooses the class that makes a sentence's pieces likeliest.");

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, int Digits)> Metrics => [("accuracy", 3)];

    /// <inheritdoc/>
    public override DecoderConfig Config => Llama(64, 192, 2, Vocabulary, Length);

    /// <inheritdoc/>
    public override int WindowLength => Length;

    /// <inheritdoc/>
    public override int Rounds => 250;

    /// <inheritdoc/>
    public override (string Equal, string Different) Splits => ($"iid:{Clients}", $"dirichlet:0.3:{Clients}:20");

    /// <inheritdoc/>
    public override int[] Tokens(IEnumerable<LabelledDocument> documents)
    {
        int[][] pieces = [.. documents.SelectMany(document => Pieces(document).Select(piece => (int[])[IdOf(document.Label), .. piece]))];
        new Random(ShuffleSeed).Shuffle(pieces);
        return [.. pieces.SelectMany(piece => piece)];
    }

    /// <inheritdoc/>
    public override Reading Read(DecoderModel model)
    {
        ForwardContext context = new(pool);
        return new Answers([.. measured.Select(document => Labels.MinBy(name => Nats(model, context, IdOf(name), document)) == document.Label ? 1.0 : 0)]);
    }

    // The first line of documentation names the member, the second is its summary.
    static LabelledDocument Summary(LabelledDocument document) => document with { Document = document.Document with { Text = document.Document.Text.Split('\n')[1] } };

    int IdOf(string label) => 1 + Labels.Index().First(name => name.Item == label).Index;

    IEnumerable<int[]> Pieces(LabelledDocument document) => tokenizer.Encode(document.Document.Text).Chunk(Piece);

    // -ln p(sentence | class)
    double Nats(DecoderModel model, ForwardContext context, int name, LabelledDocument document)
    {
        Batch batch = new();
        int[][] pieces = [.. Pieces(document)];
        foreach (int[] piece in pieces)
            batch.Add([name, .. piece]);
        context.Reset();
        ReadOnlySpan<float> logits = model.Forward(batch, context).Data;
        double nats = 0;
        int row = 0;
        foreach (int[] piece in pieces)
        {
            foreach (int token in piece)
                nats += CrossEntropy.Row(logits.Slice(row++ * Vocabulary, Vocabulary), token);
            row++;
        }
        return nats;
    }

    // 1 where it is right.
    sealed class Answers(double[] right) : Reading
    {
        public override IReadOnlyList<Score> Levels => [Mean("accuracy", right)];

        public override IReadOnlyList<Score> Over(Reading other) => [Mean("deltaAccuracy", [.. right.Zip(((Answers)other).Right, (own, others) => own - others)])];

        double[] Right => right;

        static Score Mean(string metric, double[] values)
        {
            Estimate mean = Coppice.Evaluation.Statistics.ClusteredMean(values, [.. Enumerable.Range(0, values.Length)]);
            return new Score(metric, mean.Value, mean.StandardError, values.Length, metric);
        }
    }
}
