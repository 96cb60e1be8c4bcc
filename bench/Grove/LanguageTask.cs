using Coppice.Evaluation;
using Coppice.Federation.Splits;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;

namespace Coppice.Bench;

/// <summary>Language modelling of documents by assembly, author or speaker.</summary>
public sealed class LanguageTask : FederationTask
{
    const int Vocabulary = 512, Length = 64, MostDocuments = 400, FewestDocuments = 60;

    readonly string spec;
    readonly WorkerPool pool;
    readonly Tokenizer tokenizer;
    readonly EvaluationText measured;

    /// <summary>Of a text: <c>sdk</c>, a folder of folders, or a play.</summary>
    public LanguageTask(string spec, WorkerPool pool) : base(Open(spec), MostDocuments, FewestDocuments)
    {
        (this.spec, this.pool, tokenizer) = (spec, pool, NewTokenizer(Vocabulary));
        measured = EvaluationText.Create(new Corpus("held out", [.. HeldOut.Select(document => document.Document)]), tokenizer, Protocol.Documents(Length));
    }

    /// <inheritdoc/>
    public override string Title => $"Language modelling: {NameOf(spec)}, by {(spec == "sdk" ? "assembly" : Directory.Exists(spec) ? "author" : "speaker")}";

    /// <inheritdoc/>
    public override string About => Say($"{Train.Count:N0} documents of {Labels.Count} {(spec == "sdk" ? "assemblies" : Directory.Exists(spec) ? "folders" : "speakers")}, at most {MostDocuments} of each; measured on {measured.ScoredTokens:N0} tokens of {HeldOut.Count:N0} others. Loss is in nats a token: less is better.");

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, int Digits)> Metrics => [("loss", 3)];

    /// <inheritdoc/>
    public override DecoderConfig Config => Llama(64, 192, 2, Vocabulary, Length);

    /// <inheritdoc/>
    public override int WindowLength => Length;

    /// <inheritdoc/>
    public override int Rounds => 150;

    /// <inheritdoc/>
    public override (string Equal, string Different) Splits => ($"iid:{Labels.Count}", "label:1");

    /// <inheritdoc/>
    public override int[] Tokens(IEnumerable<LabelledDocument> documents) => TokenWindows.Tokenize(tokenizer, documents.Select(document => document.Document));

    /// <inheritdoc/>
    public override Reading Read(DecoderModel model) => new Losses(this, model);

    // Two models' losses are compared token by token, so that the model itself is kept.
    sealed class Losses(LanguageTask task, DecoderModel model) : Reading
    {
        public override IReadOnlyList<Score> Levels => [Comparison.Measure(model, model, task.measured, task.pool).Compressed.NegativeLogLikelihood];

        public override IReadOnlyList<Score> Over(Reading other) => [Comparison.Measure(((Losses)other).Model, model, task.measured, task.pool).DeltaNll];

        DecoderModel Model => model;
    }
}
