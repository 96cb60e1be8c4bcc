#:project Grove/Grove.csproj
#:property PublishAot=false
// What each pruning method costs the default model at 30 to 90 %, with and without training: the tables of docs/results/grove-pruning.md. Linux; on a machine that does nothing else, for the speeds' sake.
//   dotnet run -c Release bench/pruning.cs > docs/results/grove-pruning.md
//   dotnet run -c Release bench/pruning.cs -- Wanda "SparseGPT + training" claims     only these rows; a number, such as 0.5, leaves only that share
using System.Globalization;
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Models;
using static Coppice.Bench.Grove;

const int CalibrationTokens = 8192, ClaimCalibrationTokens = 16384, TestDocuments = 200, TrainTokens = 65_536;
const string Trained = " + training";
int[] seeds = [1, 2, 3];
// S is the share; of layers and heads there are few, so that they have shares of their own.
double[] shares = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], half = [0.5], quarters = [0.25, 0.5, 0.75], layers = [1 / 6.0, 2 / 6.0, 3 / 6.0, 4 / 6.0], channels = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75];
(string Name, string Steps, double[] Shares)[] methods =
[
    ("random", "random: { sparsity: S }", shares),
    ("magnitude", "magnitude: { sparsity: S }", shares),
    ("gradient", "gradient: { sparsity: S }", shares),
    ("Taylor", "taylor: { sparsity: S }", shares),
    ("Wanda", "wanda: { sparsity: S }", shares),
    ("SparseGPT", "sparseGpt: { sparsity: S }", shares),
    ("magnitude 2:4", "magnitude: { pattern: \"2:4\" }", half),
    ("Wanda 2:4", "wanda: { pattern: \"2:4\" }", half),
    ("SparseGPT 2:4", "sparseGpt: { pattern: \"2:4\" }", half),
    ("neurons", "pruneNeurons: { share: S }", shares),
    ("neurons, least squares", "pruneNeurons: { share: S, reconstruct: true }", shares),
    ("merged neurons, least squares", "mergeNeurons: { share: S, reconstruct: true }", shares),
    ("heads", "pruneHeads: { share: S }", quarters),
    ("heads, least squares", "pruneHeads: { share: S, reconstruct: true }", quarters),
    ("channels", "pruneChannels: { share: S }", channels),
    ("channels, least squares", "pruneChannels: { share: S, reconstruct: true }", channels),
    ("merged channels, least squares", "mergeChannels: { share: S, reconstruct: true }", channels),
    ("layers", "dropLayers: { share: S }", layers),
];
(string Claim, string Way, string Steps)[] claims =
[
    ("40 % of the weights at about 2 % of accuracy", "SparseGPT 40 %, then training", $"sparseGpt: {{ sparsity: 0.4 }}|fineTune: {{ tokens: {TrainTokens}, learningRate: 0.0005 }}"),
    ("half of the parameters, in whole units, at about 88 % of quality", "a quarter of the channels and 58 % of the neurons, one after another, then training", "pruneChannels: { share: 0.25, reconstruct: true }|surgeonNeurons: { share: 0.58 }|fineTune: { tokens: 600000, learningRate: 0.002, batchSize: 4, temperature: 1 }"),
    ("three rounds of iterative pruning, 45 % fewer at 1.5 % of accuracy", "SparseGPT 45 % in three rounds", string.Join('|', new[] { 0.18068, 0.32872, 0.45 }.Select(share => $"sparseGpt: {{ sparsity: {Number(share)} }}|fineTune: {{ tokens: {TrainTokens}, learningRate: 0.0005 }}"))),
    ("random pruning of 60 % at 1 % of accuracy (of a ResNet50)", "random 60 %", "random: { sparsity: 0.6 }"),
];

double? only = args.Select(word => double.TryParse(word, CultureInfo.InvariantCulture, out double share) ? share : (double?)null).FirstOrDefault(share => share is not null);
HashSet<string> wanted = [.. args.Where(word => !double.TryParse(word, CultureInfo.InvariantCulture, out _))];
using Grove grove = new(TestDocuments);
LanguageModel start = grove.Base;

Title("What pruning costs the default model", "pruning.cs");
Print($"Base: `{start.Source}`, {start.Model.ParameterCount:N0} parameters, {start.Model.ByteCount:N0} bytes. A share of the weights of the blocks' matrices goes (or of their units); the table of tokens stays. Calibrated on {CalibrationTokens:N0} tokens of `sdk:train`, measured on {grove.Text.ScoredTokens:N0} tokens of the first {grove.Text.Documents.Count} documents of `sdk:test`. KL is the mean over calibration seeds {string.Join(", ", seeds)} ± their standard deviation, in nats a token (methods that draw nothing have none); the others are means. *Output error* is the mean over matrices of ||Wx - Qx||^2 / ||Wx||^2. *Training* is {TrainTokens:N0} tokens of `sdk:train` with the base's outputs as the loss. *Bytes* and *speed* are of the model as it is written, in 16 bits: speed is generated tokens a second against the base's, in turns with it. *Memory* is the most that the work took beyond what the process held before, in MB; *seconds* are the work's.\n");
Print($"| method | share | KL | bits/byte | top-1 | output error | parameters | bytes | speed | seconds | memory |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
foreach ((string name, string steps, double[] all) in methods)
    foreach (string trained in (string[])["", Trained])
        foreach (double share in all.Where(share => wanted.Count == 0 || wanted.Contains(name + trained)).Where(share => only is null || share == only))
            Row(name + trained, share, steps.Replace("S ", Number(share) + " ").Replace("S,", Number(share) + ",") + (trained == "" ? "" : $"|fineTune: {{ tokens: {TrainTokens}, learningRate: 0.0005 }}"));

if (wanted.Count == 0 || wanted.Contains("claims"))
{
    Print($"\n## Claims that others make\n");
    Print($"The same with {ClaimCalibrationTokens:N0} tokens of calibration and seed {seeds[0]}. *Quality* is the base's perplexity over the model's.\n");
    Print($"| claim | here | numbers that go | KL | quality | top-1 | speed | seconds | memory |");
    Print($"| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    foreach ((string claim, string way, string steps) in claims)
    {
        (CompressionReport report, long peak) = PeakMemory.Of(() => grove.Compress(Recipe(steps), grove.Calibration(ClaimCalibrationTokens, seeds[0]), seeds[0]));
        Comparison cost = grove.Cost(report.Model);
        double gone = 1 - report.Layers.Sum(layer => (1 - layer.Sparsity) * layer.Rows * layer.Columns) / start.Model.Matrices().Sum(matrix => (double)matrix.Layer.Weight.Rows * matrix.Layer.Weight.Columns);
        Print($"| {claim} | {way} | {gone:P1} | {cost.Kl.Value:F4} ± {cost.Kl.StandardError:F4} | {1 / cost.PerplexityRatio.Value:P1} | {cost.Top1Agreement.Value:P1} | {grove.Speed(grove.Written(report.Model).Model).Ratio:F2} | {report.Seconds:F0} | {peak / 1e6:F0} |");
    }
    Print($"\nTheir recipes:\n\n```yaml");
    foreach ((string claim, _, string steps) in claims)
        Print($"steps:                                      # {claim}\n{string.Concat(steps.Split('|').Select(step => $"  - {step}\n"))}");
    Print($"```");
}

void Row(string name, double share, string steps)
{
    Trial trial = new(grove, Recipe(steps), CalibrationTokens, seeds);
    Print($"| {name} | {share:P0} | {trial.Kl:F5}{trial.KlSpreadText} | {trial.BitsPerByte:F4} | {trial.Top1:P1} | {trial.OutputError:F5} | {trial.Written.Model.ParameterCount:N0} | {trial.Written.Model.ByteCount:N0} | {trial.Speed.Ratio:F2} | {trial.Seconds:F1} | {trial.PeakBytes / 1e6:F0} |");
}

static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
