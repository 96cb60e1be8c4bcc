using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Quantize;

public sealed class QatTests : IDisposable
{
    const string Short = "bits: 3, groupSize: 16, tokens: 384, batchSize: 2, contextLength: 24, teacher: 0";

    readonly string folder = Directory.CreateTempSubdirectory("coppice-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Its_options_are_read_as_they_are_written()
    {
        Recipe recipe = Read("qat: { bits: 3, groupSize: 32, symmetric: false, start: meanSize, adversarial: 0.1, noise: 0.2, jitter: 0.05, tokens: 1000, learningRate: 0.001, targets: \"*.mlp.*\" }");
        Qat step = (Qat)recipe.Steps[0];
        Assert.Equal((3, 32, false, 0.1, 0.2, 0.05, 1000, 0.001), (step.Grid.Bits, step.Grid.GroupSize, step.Grid.Symmetric, step.Adversarial, step.Grid.Noise, step.Grid.Jitter, step.Tokens, step.LearningRate));
        Assert.Equal(recipe.ToYaml(), RecipeReader.Parse(recipe.ToYaml(), "again").ToYaml());
    }

    [Theory]
    [InlineData("qat: { bits: 9 }", "r:3: qat.bits is 9, wanted a whole number from 2 to 8")]
    [InlineData("qat: { groupSize: 0 }", "r:3: qat.groupSize is 0, wanted -1 for whole rows, or 1 and more")]
    [InlineData("qat: { jitter: 1 }", "r:3: qat.jitter is 1, wanted a number above -1E-09 and below 1")]
    [InlineData("qat: { lora: 1 }", "r:3: step 'qat' has no option 'lora'; the nearest is 'bits'")]
    public void Options_that_cannot_be_are_refused_with_their_place(string step, string said) => Assert.Equal(said, Assert.Throws<CoppiceException>(() => Read(step)).Message);

    [Theory]
    [InlineData("qat: { groupSize: 24 }", "recipe 'r', step 1 (qat): model.layers.0.self_attn.q_proj [32, 32]: groupSize 24 does not divide its 32 inputs; use 32, 16, -1")]
    [InlineData("qat: { groupSize: 16, targets: \"*.mlps.*\" }", "recipe 'r', step 1 (qat): target '*.mlps.*' matches none of the model's 15 matrices; the nearest is 'model.embed_tokens'")]
    [InlineData("qat: { groupSize: 16 }\n  - fineTune", "recipe 'r', step 2 (fineTune): comes after qat, whose grid it would not keep; put it before")]
    [InlineData("roundToNearest: { groupSize: 16 }\n  - qat: { groupSize: 16 }", "recipe 'r', step 2 (qat): comes after roundToNearest, whose grid it would not keep; put it before")]
    [InlineData("qat: { groupSize: 16, targets: \"*.up_proj\" }\n  - gptq: { groupSize: 16 }", "recipe 'r': gptq is for model.layers.0.mlp.up_proj too, which a step before it has put on a grid; leave it out of one of them")]
    public void Recipes_that_cannot_be_are_refused_before_any_work(string steps, string said) =>
        Assert.Equal(said, Assert.Throws<CoppiceException>(() => new RecipePlan(Read(steps), Samples.Model())).Message);

    [Fact]
    public void The_blocks_matrices_become_integers_and_a_later_step_may_take_the_rest()
    {
        CompressionReport report = Run($"qat: {{ {Short} }}\n  - roundToNearest: {{ bits: 8, groupSize: -1, targets: \"kind:embedding\" }}", journal: null);
        Assert.All(report.Layers, layer => Assert.Equal(layer.Name.StartsWith("model.layers.", StringComparison.Ordinal) ? "int3-g16" : "int8-channel", layer.Kind));
        Assert.StartsWith("trained int3 matrices and all other numbers for 8 steps of 48 tokens: loss ", report.Notes.Single(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_pattern_from_an_earlier_step_stays()
    {
        CompressionReport report = Run($"magnitude: {{ pattern: \"2:4\" }}\n  - qat: {{ {Short} }}", journal: null);
        Assert.All(report.Layers.Where(layer => layer.Name.StartsWith("model.layers.", StringComparison.Ordinal)), layer => Assert.Equal("2:4-int3-g16", layer.Kind));
        foreach ((string name, MatrixLayer layer) in report.Model.Matrices().Where(part => part.Name.StartsWith("model.layers.", StringComparison.Ordinal)))
            Assert.All(layer.Weight.ToDense().Chunk(4), four => Assert.True(four.Count(0f) >= 2, name));
    }

    [Fact]
    public void Kept_in_a_journal_it_has_the_same_numbers()
    {
        string steps = $"qat: {{ {Short}, symmetric: false }}";
        CompressionReport alone = Run(steps, null), kept = Run(steps, Journal.Scratch(Path.Combine(folder, "journal")));
        foreach (((_, MatrixLayer own), (_, MatrixLayer read)) in alone.Model.Matrices().Zip(kept.Model.Matrices()))
        {
            Assert.Equal(own.Weight.Kind, read.Weight.Kind);
            Assert.Equal(own.Weight.ToDense(), read.Weight.ToDense());
        }
    }

    static CompressionReport Run(string steps, Journal? journal) =>
        new CompressionPipeline(Read(steps), Samples.Pool) { Text = count => Samples.Tokens(sequences: count / 24) }.Run(Samples.Model(), Samples.Tokens(), journal);

    static Recipe Read(string steps) => RecipeReader.Parse($"name: r\nsteps:\n  - {steps}\n", "r");
}
