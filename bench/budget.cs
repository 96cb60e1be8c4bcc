#:project Grove/Grove.csproj
#:property PublishAot=false
// Whether a recipe that is searched for beats one type for all matrices at the same bytes: the table of docs/results/grove-budget.md.
//   dotnet run -c Release bench/budget.cs > docs/results/grove-budget.md
// Arguments leave only the types and seeds that they name.
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Compression.Budget;
using Coppice.Compression.Quantize;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Weights;
using Coppice.Weights.Blocks;
using static Coppice.Bench.Grove;

const int CalibrationTokens = 16384, SliceTokens = 2048, TestDocuments = 400;
int[] named = [.. args.Where(word => char.IsDigit(word[0])).Select(int.Parse)], seeds = named is [] ? [1, 2, 3] : named;
Recipe[] types = [.. new[] { "iq2_xs", "iq3_xxs", "iq3_s", "q2_k", "q3_k", "iq4_xs", "q4_k", "q5_k", "q6_k", "q8_0" }.Select(name => new Recipe(name, [new GgufBlock { Type = BlockFormat.Find(name)!, Rounding = BlockRounding.Gptq, Targets = ["*"] }]))];
string[] uniform = ["iq3_xxs", "q3_k", "iq4_xs", "q4_k", "q5_k"];

using Grove grove = new(TestDocuments);
Title("One type for all matrices, and a type for each", "budget.cs");
Print($"*Uniform* gives all matrices of the default model one type (`rounding: gptq`); *searched* is what `--budget` finds at those bytes among {string.Join(", ", types.Select(type => type.Name))}, measured on {SliceTokens:N0} tokens of `sdk:train`. Both are calibrated on {CalibrationTokens:N0} tokens of it and measured on {grove.Text.ScoredTokens:N0} tokens of `sdk:test`. KL in nats a token: means over seeds {string.Join(", ", seeds)} ± their standard deviation. *Told* is the sum of what single matrices were predicted to cost, *on the slice* what the chosen mixture measured there before it was made anew.\n");
Print($"| type | bits/weight | KL, uniform | bits/weight, searched | KL, searched | searched / uniform | told | on the slice |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
string[] names = [.. uniform.Where(name => !uniform.Any(args.Contains) || args.Contains(name))];
string work = Directory.CreateTempSubdirectory("budget-").FullName;
Dictionary<string, List<Run>> rows = names.ToDictionary(name => name, _ => new List<Run>());
foreach (int seed in seeds)
{
    // A seed's searches share what their recipes and matrices were measured to cost.
    BudgetSearch search = new(() => Read().Model, grove.Pool) { Seed = seed, Tokens = SliceTokens, Folder = Path.Combine(work, $"{seed}.search") };
    IReadOnlyList<int[]> calibration = grove.Calibration(CalibrationTokens, seed), slice = grove.Calibration(SliceTokens, seed + 100);
    foreach (string name in names)
    {
        CompressionReport one = grove.Compress(types.First(type => type.Name == name), calibration, seed);
        BudgetResult found = search.Run(types, new SizeBudget(one.BitsPerWeight, BudgetUnit.BitsPerWeight), calibration, slice);
        CompressionReport own = grove.Compress(found.Recipe, calibration, seed);
        rows[name].Add(new Run(one.BitsPerWeight, grove.Cost(one.Model).Kl.Value, own.BitsPerWeight, grove.Cost(own.Model).Kl.Value, found.Chosen.Predicted, found.Chosen.Kl));
    }
}
foreach ((string name, List<Run> runs) in rows)
{
    List<double> alike = [.. runs.Select(run => run.Alike)], searched = [.. runs.Select(run => run.Searched)];
    Print($"| {name} | {runs[0].Bits:F3} | {Mean(alike)} | {runs.Average(run => run.OwnBits):F3} | {Mean(searched)} | {searched.Average() / alike.Average():F2} | {runs.Average(run => run.Told):F5} | {runs.Average(run => run.Slice):F5} |");
}
Directory.Delete(work, recursive: true);

static string Mean(List<double> values) => FormattableString.Invariant($"{values.Average():F5}") + (values.Count > 1 ? FormattableString.Invariant($" ± {Spread(values):F5}") : "");

/// <summary>One seed's bits a weight and KL of one type for all, and of the recipe found at those bytes, what that was told to cost and what it cost on the slice.</summary>
sealed record Run(double Bits, double Alike, double OwnBits, double Searched, double Told, double Slice);
