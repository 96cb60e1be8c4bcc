#:project Grove/Grove.csproj
#:property PublishAot=false
// What smaller matrices cost the default model, before any training: the tables of docs/results/grove-structured.md.
//   dotnet run -c Release bench/structured.cs > docs/results/grove-structured.md
using System.Globalization;
using Coppice.Bench;
using Coppice.Evaluation;
using Coppice.Models;
using static Coppice.Bench.Grove;

const int CalibrationTokens = 16384, TestDocuments = 400, Seed = 1;
string[] methods =
[
    "dropLayers: { count: 1, score: random }",
    "dropLayers: { count: 1 }",
    "dropLayers: { count: 1, score: taylor }",
    "dropLayers: { count: 2 }",
    "pruneHeads: { share: 0.25, score: random }",
    "pruneHeads: { share: 0.25, score: weightNorm }",
    "pruneHeads: { share: 0.25, score: activationVariance }",
    "pruneHeads: { share: 0.25 }",
    "pruneHeads: { share: 0.25, score: taylor }",
    "pruneHeads: { share: 0.25, reconstruct: true }",
    "pruneNeurons: { share: 0.25, score: random }",
    "pruneNeurons: { share: 0.25, score: weightNorm }",
    "pruneNeurons: { share: 0.25, score: activationVariance }",
    "pruneNeurons: { share: 0.25 }",
    "pruneNeurons: { share: 0.25, score: taylor }",
    "graphPruning: { share: 0.25 }",
    "mergeNeurons: { share: 0.25 }",
    "pruneNeurons: { share: 0.25, reconstruct: true }",
    "graphPruning: { share: 0.25, reconstruct: true }",
    "mergeNeurons: { share: 0.25, reconstruct: true }",
    "surgeonNeurons: { share: 0.25 }",
    "pruneNeurons: { share: 0.5, score: random }",
    "pruneNeurons: { share: 0.5 }",
    "pruneNeurons: { share: 0.5, score: taylor }",
    "graphPruning: { share: 0.5 }",
    "mergeNeurons: { share: 0.5 }",
    "pruneNeurons: { share: 0.5, reconstruct: true }",
    "mergeNeurons: { share: 0.5, reconstruct: true }",
    "surgeonNeurons: { share: 0.5 }",
    "pruneChannels: { share: 0.125, score: random }",
    "pruneChannels: { share: 0.125, score: weightNorm }",
    "pruneChannels: { share: 0.125, score: activationVariance }",
    "pruneChannels: { share: 0.125 }",
    "pruneChannels: { share: 0.125, score: taylor }",
    "mergeChannels: { share: 0.125 }",
    "pruneChannels: { share: 0.125, reconstruct: true }",
    "mergeChannels: { share: 0.125, reconstruct: true }",
    "pruneNeurons: { share: 0.25 }|pruneHeads: { share: 0.25 }",
    "surgeonNeurons: { share: 0.25 }|pruneHeads: { share: 0.25, reconstruct: true }",
];

// A second argument takes fewer documents, for a first look.
using Grove grove = new(args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : TestDocuments);
LanguageModel start = grove.Base;
IReadOnlyList<int[]> calibration = grove.Calibration(CalibrationTokens, Seed);

Title("What smaller matrices cost the default model", "structured.cs");
Print($"Base: `{start.Source}`, {start.Model.ParameterCount:N0} parameters. Nothing is trained afterwards. Measured on {grove.Text.ScoredTokens:N0} tokens of the first {grove.Text.Documents.Count} documents of `sdk:test`; calibrated on {CalibrationTokens:N0} tokens of `sdk:train`. ± is the standard error over documents.\n");
Print($"| steps | parameters | of the base | bits/byte | KL, nats/token | top-1 |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: |");
bool first = true;
// A first argument leaves only the methods that contain it.
foreach (string steps in methods.Where(method => args.Length == 0 || method.Contains(args[0], StringComparison.Ordinal)))
{
    Model model = grove.Compress(Recipe(steps), calibration, Seed).Model;
    Comparison comparison = grove.Cost(model);
    if (first)
        Print($"| base | {start.Model.ParameterCount:N0} | | {comparison.Base.BitsPerByte.Value:F4} ± {comparison.Base.BitsPerByte.StandardError:F4} | | |");
    first = false;
    Print($"| {string.Join(", ", steps.Split('|').Select(step => $"`{step}`"))} | {model.ParameterCount:N0} | {(double)model.ParameterCount / start.Model.ParameterCount:P1} | {comparison.Compressed.BitsPerByte.Value:F4} ± {comparison.Compressed.BitsPerByte.StandardError:F4} | {comparison.Kl.Value:F4} ± {comparison.Kl.StandardError:F4} | {comparison.Top1Agreement.Value:P1} |");
}
