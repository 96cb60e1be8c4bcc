#:project Grove/Grove.csproj
#:property PublishAot=false
// What training with rounded matrices gives on the default model, against rounding alone, and what noise, factors and shifted embeddings cost.
//   dotnet run -c Release bench/qat.cs
//   dotnet run -c Release bench/qat.cs -- "int2 qat" "int2 GPTQ"     only these rows
//   dotnet run -c Release bench/qat.cs -- "try bits: 2, learningRate: 0.001"     a row of its own
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Models;
using static Coppice.Bench.Grove;

const int TestDocuments = 200, CalibrationTokens = 32_768, Seed = 1;
const string Grid = "groupSize: 32", Trained = "tokens: 131072, learningRate: 0.0001, batchSize: 4", Short = "tokens: 65536, learningRate: 0.0001, batchSize: 4";
List<(string Name, string Steps)> rows = [];
foreach (int bits in new[] { 3, 2, 4 })
{
    rows.Add(($"int{bits} to nearest", $"roundToNearest: {{ bits: {bits}, {Grid} }}"));
    rows.Add(($"int{bits} GPTQ", $"gptq: {{ bits: {bits}, {Grid}, range: squaredError }}"));
    rows.Add(($"int{bits} qat", $"qat: {{ bits: {bits}, {Grid}, {Trained} }}"));
}
rows.Add(("2:4 int3 SparseGPT, GPTQ", $"sparseGpt: {{ pattern: \"2:4\" }}|gptq: {{ bits: 3, {Grid}, range: squaredError }}"));
rows.Add(("2:4 int3 SparseGPT, qat", $"sparseGpt: {{ pattern: \"2:4\" }}|qat: {{ bits: 3, {Grid}, {Trained} }}"));
foreach (string option in new[] { "", "start: meanSize", "jitter: 0.05", "jitter: 0.2", "noise: 0.25", "adversarial: 0.05" })
    rows.Add(($"int3 qat, half of the text{(option == "" ? "" : ", " + option)}", $"qat: {{ bits: 3, {Grid}, {Short}{(option == "" ? "" : ", " + option)} }}"));
rows.AddRange(args.Where(word => word.StartsWith("try ", StringComparison.Ordinal)).Select(word => (word, $"qat: {{ {Grid}, {word[4..]} }}")));

using Grove grove = new(TestDocuments);
Title("What training with rounded matrices gives on the default model", "qat.cs");
Print($"Base: `{grove.Base.Source}`, {grove.Base.Model.ParameterCount:N0} parameters. The blocks' matrices are rounded, symmetric, in groups of 32. Training is by the base's outputs, temperature 2, on tokens of `sdk:train`; calibration takes {CalibrationTokens:N0} of them; seed {Seed}. Measured on {grove.Text.ScoredTokens:N0} tokens of the first {grove.Text.Documents.Count} documents of `sdk:test`; ± is the standard error over documents.\n");
Print($"| method | bits/weight | zeros | bits/byte | KL, nats/token | top-1 | seconds |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
foreach ((string name, string steps) in rows.Where(row => args.Length == 0 || args.Contains(row.Name)))
{
    Recipe recipe = Recipe(steps);
    CompressionReport report = grove.Compress(recipe, grove.Calibration(CalibrationTokens, Seed), Seed);
    LanguageModel written = grove.Written(report.Model);
    Comparison cost = grove.Cost(written.Model);
    Print($"| {name} | {written.Model.BitsPerWeight:F2} | {report.Sparsity:P1} | {cost.Compressed.BitsPerByte.Value:F4} ± {cost.Compressed.BitsPerByte.StandardError:F4} | {cost.Kl.Value:F5} ± {cost.Kl.StandardError:F5} | {cost.Top1Agreement.Value:P1} | {report.Seconds:F0} |");
}
