#:project Grove/Grove.csproj
#:property PublishAot=false
// What training gives back after pruning and rounding, and what pruning while training costs: the tables of docs/results/grove-recovery.md.
//   dotnet run -c Release bench/recovery.cs > docs/results/grove-recovery.md
using System.Globalization;
using Coppice.Bench;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Training;
using Coppice.Training.Sparse;
using static Coppice.Bench.Grove;

const int TestDocuments = 400, CalibrationTokens = 16384;
TrainingOptions options = new() { Steps = 64, BatchSize = 4, ContextLength = 256, WarmupSteps = 8, LearningRate = 3e-4, Distillation = new() { Temperature = 1, Share = 1 } };

using Grove grove = new(TestDocuments);
TokenWindows windows = grove.Windows(options.ContextLength, seed: 1);
IReadOnlyList<int[]> calibration = grove.Calibration(CalibrationTokens, seed: 1);

Title("What training gives back on the default model", "recovery.cs");
Print($"Base: `{grove.Base.Source}`. Every run takes {options.Steps} steps of {options.TokensPerStep:N0} tokens of `sdk:train` at a rate of up to {options.LearningRate:0.0e0}, seed 1; unless a row says otherwise the loss is the divergence from the base's outputs alone (temperature 1, share 1).");
Print($"Measured on {grove.Text.ScoredTokens:N0} tokens of the first {grove.Text.Documents.Count} documents of `sdk:test`. ± is the standard error over documents. Zeros are of the blocks' matrices.");

Head("Recovering what was pruned: Wanda, 50%");
Measure("not trained", Compressed("wanda: { sparsity: 0.5 }"));
Trained("the text alone", Compressed("wanda: { sparsity: 0.5 }"), options, taught: false);
foreach ((double temperature, double share) in new[] { (2, 0.5), (2, 1), (1.0, 1.0) })
    Trained(string.Create(CultureInfo.InvariantCulture, $"base's outputs, temperature {temperature}, share {share}"), Compressed("wanda: { sparsity: 0.5 }"), options with { Distillation = new() { Temperature = temperature, Share = share } });
Adapted("LoRA, rank 8", Compressed("wanda: { sparsity: 0.5 }"));

Head("Recovering what was rounded: int3 in groups of 32, to nearest");
Measure("not trained", Compressed("roundToNearest: { bits: 3, groupSize: 32 }"));
Adapted("LoRA, rank 8", Compressed("roundToNearest: { bits: 3, groupSize: 32 }"));

Head("Pruning while training: 60% of each matrix, rows and columns 25%, until 3/8 of the steps");
Measure("magnitude at once, not trained", Compressed("magnitude: { sparsity: 0.6 }"));
Trained("magnitude at once, then trained", Compressed("magnitude: { sparsity: 0.6 }"), options);
Sparse("gradual", new GradualMagnitude { Sparsity = 0.6, Every = 4, End = 0.375 });
// Of a model that answers as its teacher does the outputs alone have no gradient to score by.
Trained("movement, half of the loss the text's", Read().Model, options with { Distillation = new() { Temperature = 1, Share = 0.5 }, Pruning = new Movement { Sparsity = 0.6, Every = 4, End = 0.375 } });
Sparse("RigL", new RigL { Sparsity = 0.6, Every = 8, End = 0.375 });
Sparse("L1, strength 2", new Proximal { Sparsity = 0.6, Strength = 2, End = 0.375 });
Sparse("three rounds", new IterativePruning { Sparsity = 0.6, Rounds = 3 });
Sparse("one round, rewound to step 0", new IterativePruning { Sparsity = 0.6, Rounds = 1, Rewind = 0 });
Sparse("rows, strength 2", new Proximal { Sparsity = 0.25, Strength = 2, End = 0.375, Groups = PenaltyGroups.Rows });
Sparse("columns, strength 2", new Proximal { Sparsity = 0.25, Strength = 2, End = 0.375, Groups = PenaltyGroups.Columns });

Model Compressed(string step)
{
    Recipe recipe = Recipe(step);
    return grove.Compress(recipe, Reads(recipe) ? calibration : [], seed: 1).Model;
}

void Sparse(string name, SparseTraining pruning) => Trained(name, Read().Model, options with { Pruning = pruning });

void Adapted(string name, Model model)
{
    Lora.Attach(model, new LoraOptions { Rank = 8 }, seed: 1);
    TrainingRun.Train(model, windows, null, options with { LearningRate = 1e-3 }, grove.Pool, checkpoint: null, teacher: grove.Base.Model);
    Measure($"{name}, rate 1e-3, before it is merged", model);
    Lora.Merge(model, grove.Pool);
    Measure($"{name}, merged", model);
}

void Trained(string name, Model model, TrainingOptions how, bool taught = true)
{
    TrainingRun.Train(model, windows, null, how, grove.Pool, checkpoint: null, teacher: taught ? grove.Base.Model : null);
    Measure(name, model);
}

void Head(string title)
{
    Print($"\n## {title}\n");
    Print($"| run | zeros | bits/byte | KL, nats/token | top-1 |");
    Print($"| --- | ---: | ---: | ---: | ---: |");
}

void Measure(string name, Model model)
{
    Comparison cost = grove.Cost(model);
    var blocks = model.Matrices().Where(part => part.Name.Contains(".layers.", StringComparison.Ordinal)).Select(part => part.Layer.Weight).ToList();
    double zeros = blocks.Sum(weight => weight.Sparsity() * weight.Shape.Length) / blocks.Sum(weight => (double)weight.Shape.Length);
    Print($"| {name} | {zeros:P1} | {cost.Compressed.BitsPerByte.Value:F4} ± {cost.Compressed.BitsPerByte.StandardError:F4} | {cost.Kl.Value:F4} ± {cost.Kl.StandardError:F4} | {cost.Top1Agreement.Value:P1} |");
}
