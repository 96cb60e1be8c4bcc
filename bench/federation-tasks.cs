#:project Grove/Grove.csproj
#:property PublishAot=false
// What federation costs by task, and what compressing its model costs then, after training and during it: the tables of docs/results/federation-tasks.md.
//   dotnet run -c Release bench/federation-tasks.cs > docs/results/federation-tasks.md
//   dotnet run -c Release bench/federation-tasks.cs -- 1,2,3 language:sdk 1 language:books language:play.txt classify:reviews.tsv     seeds of the tasks behind them, and other texts than the SDK's
// With keep:FOLDER before them, what a seed of a task gave is kept there and not measured again.
using System.Globalization;
using System.Text;
using Coppice.Bench;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using static Coppice.Bench.Grove;

const int PerRound = 4, CalibrationTokens = 8192;
(string Name, string? Preset, Way Way)[] compressed = [("int4, after", "int4-gptq", Way.Plain), ("int4, during", null, Way.Integers), ("50%, after", "sparse50", Way.Plain), ("50%, during", null, Way.Pruned)];
FederatedOptions options = new()
{
    LocalSteps = 4,
    ClientsPerRound = PerRound,
    EvaluationWindows = 1,
    Codec = new Int8Codec(),
    Training = new TrainingOptions { LearningRate = 3e-3, WarmupSteps = 40, FinalRateShare = 0.05, BatchSize = 4, WeightDecay = 0.01, Beta2 = 0.99 },
};

// Matrices this small are not worth a second thread.
using WorkerPool pool = new(1);
Title("What federation costs, by task", "federation-tasks.cs");
Print($"Each task trains a small Llama from scratch, each time from the same weights: on all text in one place (*centralized*), with clients to whom the documents are dealt at random (*IID*), and with clients as the text divides (*non-IID*). Federated are rounds of {options.LocalSteps} local steps (AdamW, {options.Training.LearningRate:0.0e0} after {options.Training.WarmupSteps} steps of warm-up) of {options.Training.BatchSize} windows by {PerRound} clients drawn for each, codec {options.Codec.Name}; centralized are as many steps, each of as many tokens as a round's clients take in one. 10% of the documents, the same for all, are held out and measured. The tokenizer (BPE) is trained on the same text, as if it were known.");
Print($"\n*Cost* is against the centralized model. The next four columns are what compression adds to the row's own model. *After*: presets `int4-gptq` and `sparse50` on the trained model, calibrated on {CalibrationTokens:N0} tokens of all clients' text. *During*: another model, of as many rounds and tokens, whose blocks' matrices are {TaskTraining.Integers.Bits} bits (groups of {TaskTraining.Integers.GroupSize}, learned steps that are averaged with the weights) from the first step on; or of which {100 * TaskTraining.Pruning.Sparsity:0}% goes, as clients vote every {TaskTraining.Pruning.Every} local steps until {100 * TaskTraining.Pruning.End:0}% of the run (`gradual`; in one place by size). *Differ* is the mean Jensen-Shannon divergence of two clients' tokens, bits. *MB up* are a client's over the run: plain, with integers, with pruning.");
Print($"\nIn brackets is the standard error over the held-out text, of differences paired; behind ± the standard deviation over seeds, which change weights, order, and deal and draw of clients, where a task has several.");
int[] seeds = [1];
string? kept = null;
List<(string Name, FederationTask Task, int[] Seeds, List<TaskRow[]> Rows)> runs = [];
foreach (string argument in args.Length > 0 ? args : ["1", "language:sdk", "classify:sdk", "translate:sdk"])
    if (argument.StartsWith("keep:", StringComparison.Ordinal))
        kept = Directory.CreateDirectory(argument["keep:".Length..]).FullName;
    else if (argument.Split(',').All(part => int.TryParse(part, CultureInfo.InvariantCulture, out _)))
        seeds = [.. argument.Split(',').Select(part => int.Parse(part, CultureInfo.InvariantCulture))];
    else
        runs.Add((string.Concat(argument.Where(char.IsLetterOrDigit)), Open(argument), seeds, []));

// One seed of every task after the other, so that a run that is stopped has told what it has.
for (int i = 0; i < runs.Max(run => run.Seeds.Length); i++)
    foreach ((string name, FederationTask task, int[] own, List<TaskRow[]> rows) in runs.Where(run => i < run.Seeds.Length))
    {
        rows.Add(TaskRow.Kept(kept is null ? null : Path.Combine(kept, Invariant($"{name}-{own[i]}.json")), () => Measure(task, own[i])));
        Console.Error.WriteLine($"\n{DateTime.Now:T}\n{Table(task, own[..(i + 1)], rows)}");
    }
foreach ((_, FederationTask task, int[] own, List<TaskRow[]> rows) in runs)
    Console.WriteLine(Table(task, own, rows));

FederationTask Open(string argument) => argument.Split(':', 2) switch
{
    ["language", { } spec] => new LanguageTask(spec, pool),
    ["classify", { } spec] => new ClassificationTask(spec, pool),
    ["translate", "sdk"] => new TranslationTask(pool),
    _ => throw new CoppiceException($"'{argument}': wanted language:TEXT, classify:TEXT, translate:sdk, or seeds as 1,2,3"),
};

IEnumerable<TaskRow> Measure(FederationTask task, int seed)
{
    TaskTraining training = new(task, options with { Seed = seed }, pool);
    IReadOnlyList<int[]> calibration = task.Calibration(CalibrationTokens);
    Reading? centralized = null;
    foreach (Place place in TaskTraining.Places(task))
    {
        Dictionary<Way, Trained> trained = Enum.GetValues<Way>().ToDictionary(way => way, way => training.Train(place, way));
        Trained plain = trained[Way.Plain];
        Reading own = task.Read(plain.Model);
        DecoderModel[] models = [.. compressed.Select(kind => kind.Preset is null ? trained[kind.Way].Model : training.Compress(plain.Model, kind.Preset, calibration))];
        (double Bits, double Zeros)[] blocks = [.. models.Select(Blocks)];
        yield return new TaskRow(plain.Clients, plain.TokenDivergence, plain.LabelDivergence, [.. trained.Values.Select(way => way.Megabytes)], Figure.Of(own.Levels), centralized is null ? null : Figure.Of(own.Over(centralized)),
            [.. models.Select(model => Figure.Of(task.Read(model).Over(own)))], [.. blocks.Select(part => part.Bits)], [.. blocks.Select(part => part.Zeros)]);
        centralized ??= own;
    }
}

string Table(FederationTask task, int[] own, List<TaskRow[]> bySeed)
{
    StringBuilder page = new();
    TaskRow last = bySeed[0][^1];
    string stored = string.Join(", ", compressed.Select((kind, i) => Invariant($"{last.Bits[i]:0.00} bits a weight and {100 * last.Zeros[i]:0}% zeros ({kind.Name})")));
    page.AppendLine(CultureInfo.InvariantCulture, $"\n## {task.Title}\n");
    page.AppendLine(CultureInfo.InvariantCulture, $"{task.About} {task.Rounds} rounds of windows of {task.WindowLength} tokens; {ParameterSet.Copy(Initialization.Random(task.Config, 1)).Count:N0} weights in {task.Config.LayerCount} blocks, vocabulary {task.Config.VocabularySize:N0}. {(own.Length > 1 ? "Seeds" : "Seed")} {string.Join(", ", own)}. The blocks' matrices are stored in {stored}.");
    foreach ((int i, (string metric, int digits)) in task.Metrics.Index())
    {
        page.AppendLine(CultureInfo.InvariantCulture, $"\n| training | clients | differ | {metric} | cost | {string.Join(" | ", compressed.Select(kind => kind.Name))} | MB up |");
        page.AppendLine(CultureInfo.InvariantCulture, $"| --- | ---: | ---: | ---: | ---: |{string.Concat(compressed.Select(_ => " ---: |"))} ---: |");
        foreach ((int at, Place place) in TaskTraining.Places(task).Index())
        {
            TaskRow[] rows = [.. bySeed.Select(seed => seed[at])];
            double? labels = rows.Average(row => row.LabelDivergence);
            string[] cells =
            [
                place.Name, place.Split is null ? "" : Invariant($"{rows[0].Clients}"),
                place.Split is null ? "" : Invariant($"{rows.Average(row => row.TokenDivergence):0.000}") + (labels is > 0 and < 0.999 ? Invariant($" (labels {labels:0.000})") : ""),
                Show(rows.Select(row => row.Levels[i]), digits, ""), rows[0].Cost is null ? "" : Show(rows.Select(row => row.Cost![i]), digits, "+"),
                .. compressed.Select((_, kind) => Show(rows.Select(row => row.Added[kind][i]), digits, "+")),
                place.Split is null ? "" : string.Join(" / ", rows[0].Megabytes.Select((_, way) => Invariant($"{rows.Average(row => row.Megabytes[way]):0.0}"))),
            ];
            page.AppendLine(CultureInfo.InvariantCulture, $"| {string.Join(" | ", cells)} |");
        }
    }
    return page.ToString().TrimEnd();
}

// Stored bits of a weight in the blocks' matrices, and how many are 0.
static (double Bits, double Zeros) Blocks(DecoderModel model)
{
    Coppice.Weights.Weight[] weights = [.. model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices).Select(matrix => matrix.Weight)];
    double count = weights.Sum(weight => (double)weight.Rows * weight.Columns);
    return (8 * weights.Sum(weight => weight.ByteCount) / count, weights.Sum(weight => weight.Sparsity() * weight.Rows * weight.Columns) / count);
}

// The mean over seeds, its spread, and the mean error over text.
static string Show(IEnumerable<Figure> bySeed, int digits, string plus)
{
    Figure[] figures = [.. bySeed];
    string form = "0." + new string('0', digits);
    double mean = Math.Round(figures.Average(figure => figure.Value), digits) + 0.0;
    string spread = Spread([.. figures.Select(figure => figure.Value)]) is { } deviation ? " ± " + deviation.ToString(form, CultureInfo.InvariantCulture) : "";
    return $"{(mean > 0 ? plus : "")}{mean.ToString(form, CultureInfo.InvariantCulture)}{spread} ({figures.Average(figure => figure.Error).ToString(form, CultureInfo.InvariantCulture)})";
}

static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
