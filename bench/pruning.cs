#:project ../src/Coppice/Coppice.csproj
#:property PublishAot=false
// What each pruning method costs the default model at 30 to 90 %: the tables of docs/results/grove-pruning.md.
//   dotnet run -c Release bench/pruning.cs > docs/results/grove-pruning.md
using System.Globalization;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;

const int CalibrationTokens = 8192, TestDocuments = 200, TrainTokens = 65_536;
int[] seeds = [1, 2, 3];
double[] shares = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const string Grove = "assets/grove";
string trains = $"|fineTune: {{ tokens: {TrainTokens}, learningRate: 0.0005 }}";
(string Name, string Steps)[] methods =
[
    ("random", "random: { sparsity: S }"),
    ("magnitude", "magnitude: { sparsity: S }"),
    ("gradient", "gradient: { sparsity: S }"),
    ("Taylor", "taylor: { sparsity: S }"),
    ("Wanda", "wanda: { sparsity: S }"),
    ("SparseGPT", "sparseGpt: { sparsity: S }"),
    ("neurons", "pruneNeurons: { share: S }"),
    ("neurons, least squares", "pruneNeurons: { share: S, reconstruct: true }"),
    ("SparseGPT + training", "sparseGpt: { sparsity: S }" + trains),
    ("neurons, least squares + training", "pruneNeurons: { share: S, reconstruct: true }" + trains),
];
(string Name, string Steps)[] patterns =
[
    ("magnitude 2:4", "magnitude: { pattern: \"2:4\" }"),
    ("Wanda 2:4", "wanda: { pattern: \"2:4\" }"),
    ("SparseGPT 2:4", "sparseGpt: { pattern: \"2:4\" }"),
    ("SparseGPT 2:4 + training", "sparseGpt: { pattern: \"2:4\" }" + trains),
];

using WorkerPool pool = new(Environment.ProcessorCount);
LanguageModel grove = LanguageModel.Load(Grove);
EvaluationText text = EvaluationText.Create(new Corpus("sdk:test, first documents", [.. Corpus.Open("sdk:test").Documents.Take(TestDocuments)]), grove.Tokenizer, Protocol.Documents(grove.Model.ContextLength));
Corpus train = Corpus.Open("sdk:train");

Print($"# What pruning costs the default model\n");
Print($"`dotnet run -c Release bench/pruning.cs`, from the repository's root. {SystemInfo.Current()}.");
Print($"Base: `{Grove}`, {grove.Model.ParameterCount:N0} parameters, {grove.Model.ByteCount:N0} bytes. A share of the weights of the blocks' matrices goes (or of the feed-forward neurons); the table of tokens stays. Calibrated on {CalibrationTokens:N0} tokens of `sdk:train`, measured on {text.ScoredTokens:N0} tokens of the first {text.Documents.Count} documents of `sdk:test`. KL is the mean over calibration seeds {string.Join(", ", seeds)} ± their standard deviation, in nats a token (methods that draw nothing have none); the others are means. *Output error* is the mean over matrices of ||Wx - Qx||^2 / ||Wx||^2. *Training* is {TrainTokens:N0} tokens of `sdk:train` with the base's outputs as the loss.\n");
Print($"| method | share | KL | bits/byte | top-1 | output error | parameters | bytes | seconds |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
// Arguments leave only the methods of these names.
foreach ((string name, string steps) in methods.Where(Wanted))
    foreach (double share in shares)
        Row(name, share.ToString("P0", CultureInfo.InvariantCulture), steps.Replace("S ", share.ToString("R", CultureInfo.InvariantCulture) + " ").Replace("S,", share.ToString("R", CultureInfo.InvariantCulture) + ","));
foreach ((string name, string steps) in patterns.Where(Wanted))
    Row(name, "50 %", steps);

bool Wanted((string Name, string Steps) method) => args.Length == 0 || args.Contains(method.Name);

void Row(string name, string share, string steps)
{
    Recipe recipe = RecipeReader.Parse($"name: bench\nsteps:\n{string.Concat(steps.Split('|').Select(step => $"  - {step}\n"))}", name);
    bool calibrated = new RecipePlan(recipe, LanguageModel.Load(Grove).Model).NeedsText;
    List<(double Kl, double Bits, double Top1, double Error, double Seconds, Model Model)> runs = [];
    foreach (int seed in calibrated || name == "random" ? seeds : seeds[..1])
    {
        CompressionPipeline pipeline = new(recipe, pool)
        {
            Seed = seed,
            Base = () => LanguageModel.Load(Grove).Model,
            Text = tokens => CalibrationText.Draw(train, grove.Tokenizer, grove.Model.ContextLength, tokens, seed),
        };
        CompressionReport report = pipeline.Run(LanguageModel.Load(Grove).Model, CalibrationText.Draw(train, grove.Tokenizer, grove.Model.ContextLength, CalibrationTokens, seed));
        Comparison comparison = Comparison.Measure(grove.Model, report.Model, text, pool);
        double?[] errors = [.. report.Layers.Where(layer => layer.Steps.Length > 0).Select(layer => layer.OutputError)];
        runs.Add((comparison.Kl.Value, comparison.Compressed.BitsPerByte.Value, comparison.Top1Agreement.Value, errors.Average() ?? double.NaN, report.Seconds, report.Model));
    }
    double mean = runs.Average(run => run.Kl);
    string spread = runs.Count == 1 ? "" : " ± " + Math.Sqrt(runs.Sum(run => Math.Pow(run.Kl - mean, 2)) / (runs.Count - 1)).ToString("F5", CultureInfo.InvariantCulture);
    string error = double.IsNaN(runs[0].Error) ? "" : runs.Average(run => run.Error).ToString("F5", CultureInfo.InvariantCulture);
    Print($"| {name} | {share} | {mean:F5}{spread} | {runs.Average(run => run.Bits):F4} | {runs.Average(run => run.Top1):P1} | {error} | {runs[0].Model.ParameterCount:N0} | {runs[0].Model.ByteCount:N0} | {runs.Average(run => run.Seconds):F1} |");
}

static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
