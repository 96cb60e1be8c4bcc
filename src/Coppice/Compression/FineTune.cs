using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Training.Sparse;

namespace Coppice.Compression;

/// <summary>Trains the model for a while after a step took something from it: all of its numbers, or changes of low rank (Hu et al. 2021).</summary>
public sealed record FineTune : TrainingStep
{
    /// <inheritdoc/>
    public override string Key => "fineTune";

    /// <summary>Rank of what is trained beside each matrix and added to it in the end; 0 trains the matrices themselves.</summary>
    public int Lora { get; init; }

    /// <summary>How it prunes while it trains; null does not. Not with <see cref="Lora"/>.</summary>
    public SparseTraining? Pruning { get; init; }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options => [.. base.Options, .. FineTunePruning.Options(Pruning)];

    private protected override IEnumerable<(string Name, string Value)> Method => [("lora", Number(Lora))];

    internal static FineTune Read(OptionReader options)
    {
        FineTune step = Read(options, new FineTune()) with { Lora = options.Int("lora", 0, 0, 4096), Pruning = FineTunePruning.Read(options) };
        return step.Lora == 0 || step.Pruning is null ? step : throw options.Wrong("prune", "nothing beside lora, which leaves the matrices as they are");
    }

    private protected override void Prepare(Model model, int seed)
    {
        if (Lora > 0)
            Training.Lora.Attach(model, new LoraOptions { Rank = Lora, Alpha = 2 * Lora }, seed);
    }

    private protected override TrainingOptions With(Model model, TrainingOptions options) => options with { Pruning = Pruning };

    private protected override (string What, string How) Finish(Model model, WorkerPool pool)
    {
        if (Lora > 0)
            Training.Lora.Merge(model, pool);
        return (Lora > 0 ? $"changes of rank {Lora}" : "all numbers",
            Pruning is null ? "" : string.Create(CultureInfo.InvariantCulture, $", pruning ({Pruning.Name}) until {100 * Pruning.Sparsity:0.##} % of each matrix is 0"));
    }
}
