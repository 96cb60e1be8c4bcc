using Coppice.Evaluation;
using Coppice.Federation.Splits;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Bench;

/// <summary>Translation of the SDK's messages from English. A decoder reads a message and a token that asks for the other language, and continues with the translation.</summary>
public sealed class TranslationTask : FederationTask
{
    const int Vocabulary = 1024, Length = 64, Context = 128, LongestMessage = 80, MostMessages = 2000, FewestMessages = 80, MostMeasured = 300, Slots = 16, BootstrapSeed = 1, End = 0, Ask = 1;
    const string Language = "de";

    readonly WorkerPool pool;
    readonly Tokenizer tokenizer;
    readonly string[] sources;
    readonly string[][] references;

    /// <summary>Of the running SDK.</summary>
    public TranslationTask(WorkerPool pool)
        : base(SdkMessages.Read(Language, LongestMessage).Select(message => new LabelledDocument(new Document(message.Assembly, $"{message.Source}\n{message.Target}"), message.Assembly)), MostMessages, FewestMessages)
    {
        (this.pool, tokenizer) = (pool, NewTokenizer(Vocabulary, Language));
        string[][] measured = [.. HeldOut.Take(MostMeasured).Select(Sides)];
        (sources, references) = ([.. measured.Select(sides => sides[0])], [.. measured.Select(sides => sides[1..])]);
    }

    /// <inheritdoc/>
    public override string Title => "Translation: the SDK's messages, English to German";

    /// <inheritdoc/>
    public override string About
    {
        get
        {
            string[] german = [.. references.Select(reference => reference[0])], moved = [.. german[1..], german[0]];
            (double[] left, double[] other) = (Levels(sources), Levels(moved));
            return Say($"{Train.Count:N0} messages of {Labels.Count} assemblies, at most {LongestMessage} characters in either language; measured on {sources.Length:N0} of {HeldOut.Count:N0} others, no two alike but for digits, signs and capitals. The translator is a decoder that is trained on a message, a token that asks for German, the German and an end, and continues what stands before with the likeliest token. Left in English, the messages have a BLEU of {left[0]:0.0} and a chrF2 of {left[1]:0.0}; with the German of another of them in place of theirs, {other[0]:0.0} and {other[1]:0.0}.");

            double[] Levels(string[] lines) => [.. new Translations(this, lines).Levels.Select(level => level.Value)];
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, int Digits)> Metrics => [("BLEU", 2), ("chrF2", 2)];

    /// <inheritdoc/>
    public override DecoderConfig Config => Llama(64, 128, 3, Vocabulary, Context);

    /// <inheritdoc/>
    public override int WindowLength => Length;

    /// <inheritdoc/>
    public override int Rounds => 400;

    /// <inheritdoc/>
    public override (string Equal, string Different) Splits => ($"iid:{Labels.Count}", "label:1");

    /// <inheritdoc/>
    public override int[] Tokens(IEnumerable<LabelledDocument> documents) =>
        [.. documents.Select(Sides).SelectMany(sides => (int[])[.. tokenizer.Encode(sides[0]), Ask, .. tokenizer.Encode(sides[1]), End])];

    /// <inheritdoc/>
    public override Reading Read(DecoderModel model)
    {
        GenerationEngine engine = new(model, pool, new GenerationEngineOptions { Slots = Slots, Cache = KeyValueFormat.Float32, Activations = ActivationFormat.Float32 });
        GenerationRequest[] requests = [.. sources.Select(source =>
        {
            int[] prompt = [End, .. tokenizer.Encode(source), Ask];
            return engine.Submit(prompt, new Sampler(), Context - prompt.Length, End);
        })];
        while (engine.Running + engine.Waiting > 0)
            engine.Step();
        return new Translations(this, [.. requests.Select(request => tokenizer.Decode(request.Tokens[request.PromptTokens..]).ReplaceLineEndings(" ").Trim())]);
    }

    static string[] Sides(LabelledDocument message) => message.Document.Text.Split('\n');

    sealed class Translations(TranslationTask task, string[] lines) : Reading
    {
        public override IReadOnlyList<Score> Levels => [Bleu.Measure(lines, task.references, new Random(BootstrapSeed)).Bleu, ChrF.Measure(lines, task.references, new Random(BootstrapSeed)).Score];

        public override IReadOnlyList<Score> Over(Reading other)
        {
            string[] others = ((Translations)other).Lines;
            return [Bleu.Compare(lines, others, task.references, new Random(BootstrapSeed)).Difference, ChrF.Compare(lines, others, task.references, new Random(BootstrapSeed)).Difference];
        }

        string[] Lines => lines;
    }
}
