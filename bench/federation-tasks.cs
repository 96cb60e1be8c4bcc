#:project Grove/Grove.csproj
#:property PublishAot=false
// What federation costs by task, and what compressing its model costs then: the tables of docs/results/federation-tasks.md.
//   dotnet run -c Release bench/federation-tasks.cs > docs/results/federation-tasks.md
//   dotnet run -c Release bench/federation-tasks.cs -- language:books language:play.txt classify:reviews.tsv     other texts than the SDK's
using System.Collections.Immutable;
using System.Globalization;
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Splits;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int Vocabulary = 512, Length = 64, PerRound = 4, LanguageRounds = 60, ClassificationRounds = 100, CalibrationTokens = 8192, Seed = 1;
const double HeldOut = 0.1;
string[] presets = ["int4-gptq", "sparse50"];
TrainingOptions training = new() { LearningRate = 3e-3, WarmupSteps = 40, FinalRateShare = 0.05, BatchSize = 4, ContextLength = Length, WeightDecay = 0.01, Beta2 = 0.99, Seed = Seed };
FederatedOptions options = new() { LocalSteps = 4, EvaluationWindows = 1, Training = training, Codec = new Int8Codec(), Seed = Seed };

// Matrices this small are not worth a second thread.
using WorkerPool pool = new(1);
DecoderConfig config = new() { HiddenSize = 64, IntermediateSize = 192, LayerCount = 2, HeadCount = 4, KeyValueHeadCount = 4, HeadWidth = 16, VocabularySize = Vocabulary, ContextLength = Length };

Title("What federation costs, by task", "federation-tasks.cs");
Print($"Each task trains a Llama of {ParameterSet.Copy(Initialization.Random(config, Seed)).Count:N0} weights from scratch, three times from the same weights: on all text in one place (*centralized*), with clients to whom the documents are dealt at random (*IID*), and with clients as the text divides (*non-IID*). Federated are rounds of {options.LocalSteps} local steps (AdamW, {training.LearningRate:0.0e0} after {training.WarmupSteps} steps of warm-up) of {training.BatchSize} x {Length} tokens by {PerRound} clients drawn for each, codec {options.Codec.Name}; centralized are as many steps, each of as many tokens as a round's clients take in one. {100 * HeldOut:0}% of the documents, the same for all three, are held out and measured. The tokenizer ({Vocabulary} tokens of BPE) is trained on the same text, as if it were known.");
Print($"\n*Cost of federation* is against the centralized model, *{string.Join("* and *", presets)}* are what the preset adds to the same model when it is trained, calibrated on {CalibrationTokens:N0} tokens of all clients' text; both are paired, with their standard errors over documents. *Differ* is the mean Jensen-Shannon divergence of two clients' tokens, bits. Seed {Seed}: a difference between two rows may also be that of another draw of clients.");
foreach (string task in args.Length > 0 ? args : ["language:sdk", "classify:sdk"])
{
    (string kind, string spec) = task.Split(':', 2) is [var first, var second] ? (first, second) : throw new CoppiceException($"'{task}': wanted language:TEXT or classify:TEXT");
    if (kind == "language")
        Language(spec);
    else if (kind == "classify")
        Classify(spec);
    else
        throw new CoppiceException($"'{task}': '{kind}' is neither language nor classify");
}

void Language(string spec)
{
    const int MostDocuments = 400, FewestDocuments = 60;
    (IReadOnlyList<LabelledDocument> train, IReadOnlyList<LabelledDocument> held) = Read(spec, MostDocuments, FewestDocuments);
    Tokenizer tokenizer = NewTokenizer(train);
    EvaluationText measured = EvaluationText.Create(new Corpus("held out", [.. held.Select(document => document.Document)]), tokenizer, Protocol.Documents(Length));
    int labels = train.Select(document => document.Label).Distinct().Count();
    Print($"\n## Language modelling: {Name(spec)}, by {(spec == "sdk" ? "assembly" : Directory.Exists(spec) ? "author" : "speaker")}\n");
    Print($"{train.Count:N0} documents of {labels} {(spec == "sdk" ? "assemblies" : Directory.Exists(spec) ? "folders" : "speakers")}, at most {MostDocuments} of each; measured on {measured.ScoredTokens:N0} tokens of {held.Count:N0} others. {LanguageRounds} rounds. Nats a token.\n");
    Print($"| training | clients | differ | loss | cost of federation | {string.Join(" | ", presets.Select(preset => $"`{preset}`"))} | MB up a client |");
    Print($"| --- | ---: | ---: | ---: | ---: |{string.Concat(presets.Select(_ => " ---: |"))} ---: |");
    IReadOnlyList<int[]> calibration = CalibrationText.Draw(new Corpus("train", [.. train.Select(document => document.Document)]), tokenizer, Length, CalibrationTokens, Seed);
    DecoderModel? centralized = null;
    foreach (Trained run in Trainings(LanguageRounds, train, $"iid:{labels}", "label", documents => TokenWindows.Tokenize(tokenizer, documents.Select(document => document.Document))))
    {
        centralized ??= run.Model;
        Comparison cost = Comparison.Measure(centralized, run.Model, measured, pool);
        string added = string.Join(" | ", presets.Select(preset => Signed(Comparison.Measure(run.Model, Compressed(run.Model, preset, calibration), measured, pool).DeltaNll)));
        Print($"| {run.Name} | {run.Clients} | {run.Differ} | {cost.Compressed.NegativeLogLikelihood.Value:0.000} ± {cost.Compressed.NegativeLogLikelihood.StandardError:0.000} | {(run.Model == centralized ? "" : Signed(cost.DeltaNll))} | {added} | {run.Megabytes} |");
    }
}

// A language model of texts with their class before them classifies by Bayes' rule: the class is that which makes the text likeliest.
void Classify(string spec)
{
    const int MostDocuments = 8000, FewestDocuments = 100, MostMeasured = 600, Piece = 8;
    (IReadOnlyList<LabelledDocument> train, IReadOnlyList<LabelledDocument> held) = Read(spec, MostDocuments, FewestDocuments);
    train = [.. train.Select(Sentence)];
    held = [.. held.Take(MostMeasured).Select(Sentence)];
    string[] classes = [.. train.Select(document => document.Label).Distinct().Order(StringComparer.Ordinal)];
    Tokenizer tokenizer = NewTokenizer(train, classes);
    Dictionary<string, int> ids = classes.Index().ToDictionary(name => name.Item, name => 1 + name.Index);
    Print($"\n## Sentence classification: {Name(spec)}, {classes.Length} classes\n");
    Print($"{train.Count:N0} sentences, at most {MostDocuments:N0} of a class; accuracy on {held.Count:N0} others, of which the largest class has {held.CountBy(document => document.Label).Max(count => count.Value) / (double)held.Count:0.000}. A federated client trains decoders, so the classifier is one: it is trained on pieces of {Piece} tokens of a sentence with a token of its class before each, and chooses the class that makes a sentence's pieces likeliest. {ClassificationRounds} rounds. *Labels* is how much two clients' labels differ, bits.\n");
    Print($"| training | clients | differ | labels | accuracy | cost of federation | {string.Join(" | ", presets.Select(preset => $"`{preset}`"))} | MB up a client |");
    Print($"| --- | ---: | ---: | ---: | ---: | ---: |{string.Concat(presets.Select(_ => " ---: |"))} ---: |");
    IReadOnlyList<int[]> calibration = [.. Tokens(train).Take(CalibrationTokens).Chunk(Length)];
    bool[]? centralized = null;
    foreach (Trained run in Trainings(ClassificationRounds, train, $"iid:{PerRound}", $"dirichlet:0.3:{PerRound}:20", Tokens))
    {
        bool[] right = Right(run.Model);
        string cost = centralized is null ? "" : Gain(right, centralized);
        centralized ??= right;
        Estimate accuracy = Mean([.. right.Select(one => one ? 1.0 : 0)]);
        string added = string.Join(" | ", presets.Select(preset => Gain(Right(Compressed(run.Model, preset, calibration)), right)));
        Print($"| {run.Name} | {run.Clients} | {run.Differ} | {run.Labels} | {accuracy.Value:0.000} ± {accuracy.StandardError:0.000} | {cost} | {added} | {run.Megabytes} |");
    }

    IEnumerable<int[]> Pieces(LabelledDocument document) => tokenizer.Encode(document.Document.Text).Chunk(Piece);

    int[] Tokens(IEnumerable<LabelledDocument> documents)
    {
        int[][] pieces = [.. documents.SelectMany(document => Pieces(document).Select(piece => (int[])[ids[document.Label], .. piece]))];
        new Random(Seed).Shuffle(pieces);
        return [.. pieces.SelectMany(piece => piece)];
    }

    bool[] Right(DecoderModel model)
    {
        ForwardContext context = new(pool);
        return [.. held.Select(document => classes.MinBy(name => Nats(model, context, ids[name], document)) == document.Label)];
    }

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

    // Of documentation the summary; the first line names the member.
    LabelledDocument Sentence(LabelledDocument document) => spec != "sdk" ? document : document with { Document = document.Document with { Text = document.Document.Text.Split('\n')[1] } };

    static string Gain(bool[] mine, bool[] theirs)
    {
        Estimate gain = Mean([.. mine.Zip(theirs, (one, other) => (one ? 1.0 : 0) - (other ? 1 : 0))]);
        return string.Create(CultureInfo.InvariantCulture, $"{Math.Round(gain.Value, 3):+0.000;-0.000;0.000} ± {gain.StandardError:0.000}");
    }

    static Estimate Mean(double[] values) => Coppice.Evaluation.Statistics.ClusteredMean(values, [.. Enumerable.Range(0, values.Length)]);
}

// Documents of labels with enough of them, some of each held out.
(IReadOnlyList<LabelledDocument> Train, IReadOnlyList<LabelledDocument> Held) Read(string spec, int most, int fewest)
{
    Random random = new(Seed);
    List<LabelledDocument> train = [], held = [];
    foreach (IGrouping<string, LabelledDocument> label in LabelledDocuments.Open(spec, options: new CorpusOptions { Unit = Directory.Exists(spec) ? DocumentUnit.Line : DocumentUnit.File }).GroupBy(document => document.Label))
    {
        LabelledDocument[] documents = [.. label];
        if (documents.Length < fewest)
            continue;
        random.Shuffle(documents);
        int kept = Math.Min(most, documents.Length), measured = (int)Math.Round(HeldOut * kept);
        held.AddRange(documents[..measured]);
        train.AddRange(documents[measured..kept]);
    }
    LabelledDocument[] mixed = [.. held];
    random.Shuffle(mixed);
    return (train, mixed);
}

// The first token parts documents; classes follow.
Tokenizer NewTokenizer(IReadOnlyList<LabelledDocument> train, params IEnumerable<string> classes) =>
    BpeTrainer.Train(train.Select(document => document.Document.Text), new BpeTraining { VocabularySize = Vocabulary, SpecialTokens = ["<|endoftext|>", .. classes.Select(name => $"<|{name}|>")] });

IEnumerable<Trained> Trainings(int rounds, IReadOnlyList<LabelledDocument> train, string iid, string other, Func<IEnumerable<LabelledDocument>, int[]> tokens)
{
    int clients = SplitCorpus.Deal("train", train, SplitRegistry.Find(iid), Seed, 0).Clients.Count, each = Math.Min(PerRound, clients);
    DecoderModel model = Initialization.Random(config, Seed);
    LabelledDocument[] mixed = [.. train];
    new Random(Seed).Shuffle(mixed);
    TrainingOptions whole = training with { Steps = rounds * options.LocalSteps, BatchSize = training.BatchSize * each };
    Trainer trainer = new(model, new TokenWindows(tokens(mixed), Length, Seed), whole, pool);
    while (trainer.Optimizer.StepsTaken < whole.Steps)
        trainer.Step();
    trainer.Finish();
    yield return new Trained("centralized", model, "", "", "", "");
    foreach ((string name, string split) in new[] { ("IID", iid), ("non-IID", other) })
        yield return Federated(name, options with { Rounds = rounds, ClientsPerRound = each }, SplitRegistry.Find(split), train, tokens);
}

Trained Federated(string name, FederatedOptions run, ISplit split, IReadOnlyList<LabelledDocument> train, Func<IEnumerable<LabelledDocument>, int[]> tokens)
{
    Dictionary<Document, LabelledDocument> labels = new(train.Select(document => KeyValuePair.Create(document.Document, document)), ReferenceEqualityComparer.Instance);
    SplitCorpus dealt = SplitCorpus.Deal("train", train, split, Seed, 0);
    (string Client, int Documents, int[] Tokens)[] texts = [.. dealt.Clients.Select(client => (client.Client, client.Train.Documents.Count, tokens(client.Train.Documents.Select(document => labels[document]))))];
    DecoderModel model = Initialization.Random(config, Seed);
    IClientChannel[] channels = [.. texts.Select(text => new LocalChannel(new Client(text.Client, text.Tokens, pool)))];
    ImmutableArray<RoundRecord> rounds = Simulation.Run(model, channels, run);
    if (rounds.SelectMany(round => round.Dropped).FirstOrDefault() is { } dropped)
        throw new CoppiceException($"{name}: client '{dropped.Client}' was dropped: {dropped.Reason}");
    double megabytes = rounds.Sum(round => round.BytesUp) / 1e6 / channels.Length;
    return new Trained($"federated, {name} (`{split.Name}`)", model, texts.Length.ToString(CultureInfo.InvariantCulture), Three(NonIidReport.Measure(texts, Vocabulary).MeanDivergence), dealt.LabelDivergence is { } bits ? Three(bits) : "", megabytes.ToString("0.0", CultureInfo.InvariantCulture));
}

// The model is left as it is.
DecoderModel Compressed(DecoderModel model, string preset, IReadOnlyList<int[]> calibration)
{
    DecoderModel copy = Initialization.Random(config, Seed);
    ParameterSet.Copy(model).CopyTo(copy);
    return (DecoderModel)new CompressionPipeline(Presets.Get(preset), pool) { Seed = Seed }.Run(copy, calibration).Model;
}

static string Name(string spec) => spec == "sdk" ? "the SDK's documentation" : $"`{Path.GetFileName(Path.TrimEndingDirectorySeparator(spec))}`";

static string Signed(Score score) => string.Create(CultureInfo.InvariantCulture, $"{Math.Round(score.Value, 3):+0.000;-0.000;0.000} ± {score.StandardError:0.000}");

static string Three(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

sealed record Trained(string Name, DecoderModel Model, string Clients, string Differ, string Labels, string Megabytes);
