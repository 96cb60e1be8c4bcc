#:project Grove/Grove.csproj
#:property PublishAot=false
// What each compression method costs the default model: the tables of docs/results/grove-compression.md.
//   dotnet run -c Release bench/quality.cs > docs/results/grove-compression.md
using System.Globalization;
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Models;
using static Coppice.Bench.Grove;

const int CalibrationTokens = 32768, TestDocuments = 800;
int[] seeds = [1, 2, 3];
(string Name, string Steps)[] methods =
[
    ("int8, a scale a row, to nearest", "roundToNearest: { bits: 8, groupSize: -1 }"),
    ("int4 g32, to nearest", "roundToNearest: { bits: 4, groupSize: 32 }"),
    ("int4 g32, to nearest, range searched", "roundToNearest: { bits: 4, groupSize: 32, range: squaredError }"),
    ("int4 g32, GPTQ, natural order, whole range", "gptq: { bits: 4, groupSize: 32, order: natural, range: absMax }"),
    ("int4 g32, GPTQ, act-order, whole range", "gptq: { bits: 4, groupSize: 32, range: absMax }"),
    ("int4 g32, GPTQ", "gptq: { bits: 4, groupSize: 32 }"),
    ("int4 g32 asymmetric, to nearest", "roundToNearest: { bits: 4, groupSize: 32, symmetric: false }"),
    ("int4 g32 asymmetric, GPTQ", "gptq: { bits: 4, groupSize: 32, symmetric: false }"),
    ("int4 g32 asymmetric, AWQ", "awq: { bits: 4, groupSize: 32 }|roundToNearest: { bits: 4, groupSize: 32, symmetric: false }"),
    ("int4 g32 asymmetric, AWQ, GPTQ", "awq: { bits: 4, groupSize: 32 }|gptq: { bits: 4, groupSize: 32, symmetric: false }"),
    ("int3 g32 asymmetric, to nearest", "roundToNearest: { bits: 3, groupSize: 32, symmetric: false }"),
    ("int3 g32 asymmetric, AWQ", "awq: { bits: 3, groupSize: 32 }|roundToNearest: { bits: 3, groupSize: 32, symmetric: false }"),
    ("int3 g32 asymmetric, GPTQ", "gptq: { bits: 3, groupSize: 32, symmetric: false }"),
    ("int3 g32 asymmetric, AWQ, GPTQ", "awq: { bits: 3, groupSize: 32 }|gptq: { bits: 3, groupSize: 32, symmetric: false }"),
    ("int3 g32, to nearest", "roundToNearest: { bits: 3, groupSize: 32 }"),
    ("int3 g32, GPTQ", "gptq: { bits: 3, groupSize: 32 }"),
    ("random 50%", "random: { sparsity: 0.5 }"),
    ("magnitude 50%", "magnitude: { sparsity: 0.5 }"),
    ("Wanda 50%", "wanda: { sparsity: 0.5 }"),
    ("SparseGPT 50%", "sparseGpt: { sparsity: 0.5 }"),
    ("gradient 50%", "gradient: { sparsity: 0.5 }"),
    ("Taylor 50%", "taylor: { sparsity: 0.5 }"),
    ("SNIP 50%", "snip: { sparsity: 0.5 }"),
    ("magnitude 2:4", "magnitude: { pattern: \"2:4\" }"),
    ("Wanda 2:4", "wanda: { pattern: \"2:4\" }"),
    ("SparseGPT 2:4", "sparseGpt: { pattern: \"2:4\" }"),
    ("Wanda 2:4 + int4 g32, GPTQ", "wanda: { pattern: \"2:4\" }|gptq: { bits: 4, groupSize: 32 }"),
    ("SparseGPT 2:4 + int4 g32, GPTQ", "sparseGpt: { pattern: \"2:4\" }|gptq: { bits: 4, groupSize: 32 }"),
];

using Grove grove = new(TestDocuments);
LanguageModel start = grove.Base;
Title("What compression costs the default model", "quality.cs");
Print($"Base: `{start.Source}`, {start.Model.ParameterCount:N0} parameters, 16 bits each. Only the blocks' matrices are compressed, so that bits a weight (of the whole model) include a table of tokens in 16 bits.");
Print($"Measured on {grove.Text.ScoredTokens:N0} tokens of the first {grove.Text.Documents.Count} documents of `sdk:test`; calibrated on {CalibrationTokens:N0} tokens of `sdk:train`. ± is the standard error over documents; the spread is the standard deviation of KL over calibration seeds {string.Join(", ", seeds)} (methods without calibration have none).\n");
Print($"| method | bytes | bits/weight | bits/byte | KL, nats/token | spread | top-1 | seconds |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
bool first = true;
// Arguments leave only the methods whose names start with one of them.
foreach ((string name, string steps) in methods.Where(method => args.Length == 0 || args.Any(beginning => method.Name.StartsWith(beginning, StringComparison.Ordinal))))
{
    Recipe recipe = Recipe(steps);
    List<(Comparison Comparison, double Seconds, Model Model)> runs = [];
    foreach (int seed in Draws(recipe) ? seeds : seeds[..1])
    {
        CompressionReport report = grove.Compress(recipe, Reads(recipe) ? grove.Calibration(CalibrationTokens, seed) : [], seed);
        runs.Add((grove.Cost(report.Model), report.Seconds, report.Model));
    }
    Comparison one = runs[0].Comparison;
    if (first)
        Print($"| base, f16 | {start.Model.ByteCount:N0} | {start.Model.BitsPerWeight:F2} | {one.Base.BitsPerByte.Value:F4} ± {one.Base.BitsPerByte.StandardError:F4} | | | | |");
    first = false;
    string? spread = Spread([.. runs.Select(run => run.Comparison.Kl.Value)])?.ToString("F5", CultureInfo.InvariantCulture);
    Print($"| {name} | {runs[0].Model.ByteCount:N0} | {runs[0].Model.BitsPerWeight:F2} | {runs.Average(run => run.Comparison.Compressed.BitsPerByte.Value):F4} ± {one.Compressed.BitsPerByte.StandardError:F4} | {runs.Average(run => run.Comparison.Kl.Value):F5} ± {one.Kl.StandardError:F5} | {spread} | {runs.Average(run => run.Comparison.Top1Agreement.Value):P1} | {runs.Average(run => run.Seconds):F1} |");
}
