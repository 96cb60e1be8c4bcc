using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Quantize;

/// <summary>What scales channels between matrices.</summary>
public sealed class ScalingStepTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string> Kinds => [.. RandomCheckpoint.Families];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Scaled_channels_leave_what_every_family_computes(string kind)
    {
        new RandomCheckpoint(kind).Write(folder.Path);
        DecoderModel plain = (DecoderModel)ModelFolder.Load(folder.Path), scaled = (DecoderModel)ModelFolder.Load(folder.Path);
        int count = 0;
        foreach (ScalableInputs inputs in scaled.Blocks.SelectMany(ScalableInputs.Of))
        {
            Random random = new(++count);
            inputs.Apply([.. Enumerable.Range(0, inputs.Channels).Select(_ => Math.Exp(random.NextDouble() - 0.5))]);
        }
        Assert.True(count >= plain.Blocks.Count);
        int[] tokens = [3, 17, 200, 5, 90, 41];
        float[] before = Logits(plain, tokens), after = Logits(scaled, tokens);
        float size = before.Max(Math.Abs);
        Assert.Equal(before, after, (a, b) => Math.Abs(a - b) <= 2e-4f * size);
        Assert.NotEqual(before, after);
    }

    [Fact]
    public void Heads_that_share_values_share_factors()
    {
        // Four heads of eight, two for each head of values.
        ScalableInputs output = ScalableInputs.Of(Samples.Model().Blocks[0]).Single(inputs => inputs.Readers[0].Weight.Columns == 32 && inputs.Readers.Count == 1);
        Assert.Equal(16, output.Channels);
        double[] factors = [.. Enumerable.Range(1, 16).Select(i => (double)i)];
        float[] each = output.PerInput(factors);
        Assert.Equal([1f, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], each[..18]);
        Assert.Equal([4.0, 5, 6], output.PerChannel(j => j, all => all.Average())[..3]);
        Assert.Equal([24.0, 25], output.PerChannel(j => j, all => all.Max())[8..10]);
    }

    [Fact]
    public void Factors_of_awq_are_powers_of_sizes_around_one()
    {
        Assert.Equal([0.5, 1, 2], Awq.Factors([1, 4, 16], 0.5), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal([1.0, 1, 1], Awq.Factors([1, 4, 16], 0));
        Assert.All(Awq.Factors([0, 4], 0.5), factor => Assert.True(factor > 0));
    }

    [Fact]
    public void Factors_of_smooth_quant_are_those_of_the_paper() =>
        Assert.Equal([2.0, 4, 1, 1], SmoothQuant.Factors([16, 4, 0, 3], [4, 0.25, 1, 0], 0.5), (a, b) => Math.Abs(a - b) < 1e-12);

    [Theory]
    [InlineData("awq: { bits: 3, groupSize: 32 }"), InlineData("smoothQuant: { alpha: 0.4 }")]
    public void A_step_leaves_the_loss_and_changes_the_weights(string step)
    {
        DecoderModel model = Outlying();
        double before = Samples.Loss(model, Samples.Tokens());
        float[] weights = model.Blocks[1].Attention.Query.Weight.ToDense();
        ModelWork work = Work(model);
        Step(step).Apply(work);
        Assert.Equal(before, Samples.Loss(model, Samples.Tokens()), 1e-4);
        Assert.NotEqual(weights, model.Blocks[1].Attention.Query.Weight.ToDense());
        Assert.Equal(8, work.Notes.Count);
        Assert.StartsWith("model.layers.0.self_attn.q_proj: ", work.Notes[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Rounding_behind_awq_changes_outputs_less_than_rounding_alone()
    {
        double alone = RoundedError([]), behind = RoundedError([Step("awq: { bits: 3, groupSize: 32 }")]);
        Assert.True(behind < 0.8 * alone, $"{behind} behind, {alone} alone");
    }

    [Theory]
    [InlineData("awq: { groupSize: 24 }", "groupSize 24 does not divide its 32 inputs"), InlineData("awq: { bits: 4, groupSize: 32 }", "needs calibration text")]
    public void What_does_not_fit_is_refused_before_any_change(string step, string reason)
    {
        DecoderModel model = Samples.Model();
        float[] weights = model.Blocks[0].Attention.Query.Weight.ToDense();
        ModelWork work = new() { Model = model, Calibration = reason.StartsWith("needs", StringComparison.Ordinal) ? [] : Samples.Tokens(), Pool = Samples.Pool };
        Assert.Contains(reason, Assert.Throws<CoppiceException>(() => Step(step).Apply(work)).Message);
        Assert.Equal(weights, model.Blocks[0].Attention.Query.Weight.ToDense());
    }

    // A few channels of every norm are large, as those of trained models are.
    static DecoderModel Outlying()
    {
        DecoderModel model = Samples.Model();
        foreach (TransformerBlock block in model.Blocks)
            foreach (Normalization? norm in new[] { block.Norms.BeforeAttention, block.Norms.BeforeFeedForward })
                foreach (int channel in new[] { 3, 17, 30 })
                    ((RmsNorm)norm!).Gain.Data[channel] *= 20;
        return model;
    }

    // The mean over matrices of what rounding changes of their outputs.
    static double RoundedError(Step[] before)
    {
        Recipe recipe = new("r", [.. before, new RoundToNearest { Bits = 3, GroupSize = 32, Symmetric = false }]);
        CompressionReport report = new CompressionPipeline(recipe, Samples.Pool).Run(Outlying(), Samples.Tokens(sequences: 12));
        return report.Layers.Where(layer => layer.OutputError is not null).Average(layer => layer.OutputError!.Value);
    }

    static ModelStep Step(string yaml) => (ModelStep)RecipeReader.Parse($"name: r\nsteps:\n  - {yaml}\n", "r").Steps[0];

    static ModelWork Work(DecoderModel model) => new() { Model = model, Calibration = Samples.Tokens(sequences: 12), Pool = Samples.Pool };

    static float[] Logits(DecoderModel model, int[] tokens) => model.Forward(new Batch(tokens), new ForwardContext(Samples.Pool)).Data.ToArray();
}
