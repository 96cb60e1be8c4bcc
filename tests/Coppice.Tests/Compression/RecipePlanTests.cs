using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression;

public sealed class RecipePlanTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("coppice-phases-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Steps_over_matrices_go_together_until_one_over_the_model_comes()
    {
        RecipePlan plan = new(new Recipe("r", [new Magnitude { Targets = ["*.q_proj"] }, new RandomPruning { Targets = ["*.k_proj"] }, new Scaled(), new Wanda()]), Samples.Model());
        Assert.Equal(["magnitude,random", "scaled", "wanda"], plan.Phases.Select(phase => phase.Model?.Key ?? string.Join(',', phase.Steps.Select(step => step.Key))));
        Assert.True(plan.NeedsText);
        Assert.False(new RecipePlan(new Recipe("r", [new Magnitude(), new Scaled()]), Samples.Model()).NeedsText);
    }

    [Fact]
    public void A_step_over_the_model_takes_no_targets() =>
        Assert.Equal("recipe 'r', step 2 (scaled): is for the whole model and takes neither targets nor ignore",
            Assert.Throws<CoppiceException>(() => new RecipePlan(new Recipe("r", [new Magnitude(), new Scaled { Targets = ["*"] }]), Samples.Model())).Message);

    [Fact]
    public void What_is_wrong_with_a_later_phase_is_found_before_any_work() =>
        Assert.Contains("target '*.mpl.*' matches none", Assert.Throws<CoppiceException>(() => new RecipePlan(new Recipe("r", [new Wanda(), new Scaled(), new Wanda { Targets = ["*.mpl.*"] }]), Samples.Model())).Message, StringComparison.Ordinal);

    [Fact]
    public void Units_are_cut_before_weights_are_pruned() =>
        Assert.Equal("recipe 'r', step 2 (pruneNeurons): comes after wanda, whose zeros it would not keep; put it before",
            Assert.Throws<CoppiceException>(() => new RecipePlan(new Recipe("r", [new Wanda(), new Coppice.Compression.Structured.PruneNeurons()]), Samples.Model())).Message);

    [Fact]
    public void What_an_earlier_phase_pruned_stays_pruned_and_counts()
    {
        Recipe recipe = new("r", [new Magnitude { Sparsity = 0.3 }, new Scaled { Times = 1 }, new RandomPruning { Sparsity = 0.5 }, new Scaled { Times = 1 }, new Gptq { GroupSize = 32 }]);
        CompressionReport first = Run(new Recipe("r", [new Magnitude { Sparsity = 0.3 }])), all = Run(recipe);
        foreach (((string name, MatrixLayer before), (_, MatrixLayer after)) in first.Model.Matrices().Zip(all.Model.Matrices()))
        {
            if (!name.Contains("layers", StringComparison.Ordinal))
                continue;
            float[] pruned = before.Weight.ToDense(), stored = after.Weight.ToDense();
            Assert.Equal(0.5, stored.Count(value => value == 0) / (double)stored.Length, 0.1);
            for (int i = 0; i < pruned.Length; i++)
                Assert.True(pruned[i] != 0 || stored[i] == 0);
        }
        LayerResult query = all.Layers.First(layer => layer.Name.EndsWith("q_proj", StringComparison.Ordinal));
        Assert.Equal(["magnitude", "random", "gptq"], query.Steps.AsEnumerable());
    }

    [Theory]
    [InlineData(5)]
    [InlineData(16)]
    [InlineData(20)]
    public void A_run_of_several_phases_goes_on_where_it_stopped(int stopAfter)
    {
        Recipe recipe = new("r", [new Magnitude { Sparsity = 0.6 }, new Scaled { Times = 2 }, new Gptq { GroupSize = 32 }]);
        Journal journal = Journal.Open(Path.Combine(folder, "out"), Samples.Model(), recipe, Samples.Tokens(), 0);
        using CancellationTokenSource cancel = new();
        Assert.Throws<OperationCanceledException>(() => new CompressionPipeline(recipe, Samples.Pool).Run(Samples.Model(), Samples.Tokens(), journal, new Stop(stopAfter, cancel), cancel.Token));
        CompressionReport report = new CompressionPipeline(recipe, Samples.Pool).Run(Samples.Model(), Samples.Tokens(), journal), wanted = Run(recipe);
        Assert.True(report.ResumedBlocks > 0 || stopAfter < 7);
        Assert.Equal(["scaled by 2"], report.Notes.AsEnumerable());
        Assert.All(wanted.Model.Matrices().Zip(report.Model.Matrices()), pair => Assert.Equal(pair.First.Layer.Weight.ToDense(), pair.Second.Layer.Weight.ToDense()));
        journal.Delete();
    }

    static CompressionReport Run(Recipe recipe) => new CompressionPipeline(recipe, Samples.Pool).Run(Samples.Model(), Samples.Tokens());

    sealed class Stop(int after, CancellationTokenSource cancel) : IProgress<CompressionProgress>
    {
        public void Report(CompressionProgress value)
        {
            if (value.Done == after)
                cancel.Cancel();
        }
    }

    /// <summary>The model with every matrix times a number.</summary>
    sealed record Scaled : ModelStep
    {
        public float Times { get; init; } = 1;

        public override string Key => "scaled";

        public override IEnumerable<(string Name, string Value)> Options => [];

        public override Model Apply(ModelWork work)
        {
            work.Notes.Add($"scaled by {Times}");
            DecoderModel made = Samples.Model();
            foreach (((_, MatrixLayer layer), (_, MatrixLayer from)) in made.Matrices().Zip(work.Model.Matrices()))
            {
                float[] numbers = [.. from.Weight.ToDense().Select(value => value * Times)];
                layer.Weight = from.Weight is SparseWeight ? SparseWeight.From(from.Weight.Rows, from.Weight.Columns, numbers) : new DenseWeight(Tensor.From([from.Weight.Rows, from.Weight.Columns], numbers));
            }
            return made;
        }
    }
}
