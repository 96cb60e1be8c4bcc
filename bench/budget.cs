#:project Grove/Grove.csproj
#:property PublishAot=false
// Whether a recipe that is searched for beats one type for all matrices at the same bytes: the table of docs/results/grove-budget.md.
//   dotnet run -c Release bench/budget.cs > docs/results/grove-budget.md
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
int[] seeds = [1, 2, 3];
Recipe[] types = [.. new[] { "iq2_xs", "iq3_xxs", "iq3_s", "q2_k", "q3_k", "iq4_xs", "q4_k", "q5_k", "q6_k", "q8_0" }.Select(name => new Recipe(name, [new GgufBlock { Type = BlockFormat.Find(name)!, Rounding = BlockRounding.Gptq, Targets = ["*"] }]))];
string[] uniform = ["iq3_xxs", "q3_k", "iq4_xs", "q4_k", "q5_k"];

using Grove grove = new(TestDocuments);
Title("One type for all matrices, and a type for each", "budget.cs");
Print($"*Uniform* gives all matrices of the default model one type (`rounding: gptq`); *searched* is what `--budget` finds at those bytes among {string.Join(", ", types.Select(type => type.Name))}, measured on {SliceTokens:N0} tokens of `sdk:train`. Both are calibrated on {CalibrationTokens:N0} tokens of it and measured on {grove.Text.ScoredTokens:N0} tokens of `sdk:test`. KL in nats a token: means over seeds {string.Join(", ", seeds)} ± their standard deviation. *Told* is the sum of what single matrices were predicted to cost, *on the slice* what the chosen mixture measured there before it was made anew.\n");
Print($"| type | bits/weight | KL, uniform | bits/weight, searched | KL, searched | searched / uniform | told | on the slice |");
Print($"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
foreach (string name in uniform.Where(name => args.Length == 0 || args.Contains(name)))
{
    List<double> alike = [], searched = [], told = [], slice = [];
    double bits = 0, ownBits = 0;
    foreach (int seed in seeds)
    {
        IReadOnlyList<int[]> calibration = grove.Calibration(CalibrationTokens, seed);
        CompressionReport one = grove.Compress(types.First(type => type.Name == name), calibration, seed);
        alike.Add(grove.Cost(one.Model).Kl.Value);
        bits = one.BitsPerWeight;
        BudgetResult found = new BudgetSearch(() => Read().Model, grove.Pool) { Seed = seed, Tokens = SliceTokens }
            .Run(types, new SizeBudget(bits, BudgetUnit.BitsPerWeight), calibration, grove.Calibration(SliceTokens, seed + 100));
        CompressionReport own = grove.Compress(found.Recipe, calibration, seed);
        searched.Add(grove.Cost(own.Model).Kl.Value);
        told.Add(found.Chosen.Predicted);
        slice.Add(found.Chosen.Kl);
        ownBits += own.BitsPerWeight / seeds.Length;
    }
    Print($"| {name} | {bits:F3} | {alike.Average():F5} ± {Spread(alike):F5} | {ownBits:F3} | {searched.Average():F5} ± {Spread(searched):F5} | {searched.Average() / alike.Average():F2} | {told.Average():F5} | {slice.Average():F5} |");
}
