using Coppice.Compression;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training.Sparse;
using Coppice.Weights;

namespace Coppice.Tests.Compression;

public class FineTunePruningTests
{
    [Theory]
    [InlineData("gradual", typeof(GradualMagnitude)), InlineData("movement", typeof(Movement)), InlineData("rigl, exchange: 0.2", typeof(RigL)), InlineData("l1, strength: 2", typeof(Proximal))]
    [InlineData("rows", typeof(Proximal)), InlineData("columns", typeof(Proximal)), InlineData("rounds, rounds: 2, rewind: 1", typeof(IterativePruning))]
    public void Every_method_is_read_as_it_is_written(string prune, Type kind)
    {
        Recipe recipe = Read($"{{ prune: {prune}, sparsity: 0.6, pruneEvery: 4, pruneEnd: 0.5, pruneTargets: \"*.mlp.*\" }}");
        SparseTraining pruning = ((FineTune)recipe.Steps[0]).Pruning!;
        Assert.IsType(kind, pruning);
        Assert.Equal((0.6, 4, 0.5, "*.mlp.*"), (pruning.Sparsity, pruning.Every, pruning.End, pruning.Targets.Single()));
        Assert.Equal(prune.Split(',')[0], pruning.Name);
        Assert.Equal(recipe.ToYaml(), RecipeReader.Parse(recipe.ToYaml(), "again").ToYaml());
    }

    [Theory]
    [InlineData("{ sparsity: 0.5 }", "r:2: fineTune.sparsity is 0.5, wanted nothing without prune")]
    [InlineData("{ prune: gradual, strength: 1 }", "r:2: fineTune.strength is 1, wanted nothing without prune: l1, rows or columns")]
    [InlineData("{ prune: gradual, sparsity: 1 }", "r:2: fineTune.sparsity is 1, wanted a number above 0 and below 1")]
    [InlineData("{ prune: gradual, lora: 8 }", "r:2: fineTune.prune is gradual, wanted nothing beside lora, which leaves the matrices as they are")]
    [InlineData("{ prune: gradually }", "r:2: fineTune.prune is gradually, wanted none or gradual or movement or rigl or l1 or rows or columns or rounds")]
    public void Options_that_cannot_be_are_refused_with_their_place(string options, string said) =>
        Assert.Equal(said, Assert.Throws<CoppiceException>(() => Read(options)).Message);

    [Fact]
    public void The_share_is_gone_when_training_ends()
    {
        DecoderModel model = Samples.Model();
        Recipe recipe = Read("{ prune: gradual, sparsity: 0.75, pruneEvery: 1, tokens: 384, batchSize: 2, contextLength: 24, teacher: 0 }");
        new CompressionPipeline(recipe, Samples.Pool) { Text = count => Samples.Tokens(sequences: count / 24) }.Run(model, Samples.Tokens());
        foreach ((string name, MatrixLayer layer) in model.Matrices())
            Assert.Equal(name.StartsWith("model.layers.", StringComparison.Ordinal) ? 0.75 : 0, layer.Weight.Sparsity(), 3);
    }

    [Fact]
    public void A_step_that_makes_matrices_smaller_does_not_come_after()
    {
        Recipe recipe = RecipeReader.Parse("name: r\nsteps:\n  - fineTune: { prune: gradual }\n  - pruneNeurons: { share: 0.5 }\n", "r");
        Assert.Equal("recipe 'r', step 2 (pruneNeurons): comes after fineTune, whose zeros it would not keep; put it before", Assert.Throws<CoppiceException>(() => new RecipePlan(recipe, Samples.Model())).Message);
    }

    static Recipe Read(string options) => RecipeReader.Parse($"steps:\n  - fineTune: {options}\n", "r");
}
