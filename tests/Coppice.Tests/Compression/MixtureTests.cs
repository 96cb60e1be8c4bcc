using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Tests.Compression;

/// <summary>Experts are calibrated by the tokens that they see.</summary>
public class MixtureTests
{
    [Fact]
    public void Every_expert_is_measured_on_the_tokens_that_were_sent_to_it()
    {
        DecoderModel model = Mixture();
        CompressionReport report = Compress(model, new Recipe("r", [new Gptq { Bits = 4, GroupSize = 16 }]), Samples.Tokens());
        for (int block = 0; block < 2; block++)
        {
            LayerResult[] gates = [.. Enumerable.Range(0, 5).Select(e => Of(report, $"model.layers.{block}.mlp.experts.{e}.gate_proj"))];
            // Each of 144 tokens goes to two of five experts.
            Assert.Equal(2 * 6 * 24, gates.Sum(gate => gate.Tokens));
            Assert.All(gates.Where(gate => gate.Tokens > 0), gate => Assert.InRange(gate.OutputError!.Value, 1e-9, 0.9));
            Assert.All(Enumerable.Range(0, 5), e => Assert.Equal(gates[e].Tokens, Of(report, $"model.layers.{block}.mlp.experts.{e}.down_proj").Tokens));
            Assert.Equal(6 * 24, Of(report, $"model.layers.{block}.mlp.shared_expert.down_proj").Tokens);
        }
        Assert.Equal(report.Layers.Count(layer => layer.Tokens < 32), report.Warnings.Count());
    }

    [Fact]
    public void Routers_are_left_alone_unless_a_recipe_names_them()
    {
        Recipe all = new("all", [new RoundToNearest { GroupSize = 16 }]), named = new("named", [new Gptq { GroupSize = 16, Targets = ["*.mlp.gate"] }]);
        DecoderModel model = Mixture();
        CompressionReport report = Compress(model, all, Samples.Tokens());
        Assert.Equal("f16", Of(report, "model.layers.0.mlp.gate").Kind);
        Assert.Equal("f16", Of(report, "model.layers.1.mlp.shared_expert_gate").Kind);
        Assert.StartsWith("int4", Of(report, "model.layers.0.mlp.experts.3.up_proj").Kind, StringComparison.Ordinal);
        Assert.StartsWith("int4", Of(Compress(Mixture(), named, Samples.Tokens()), "model.layers.0.mlp.gate").Kind, StringComparison.Ordinal);
    }

    [Fact]
    public void An_expert_that_no_token_reaches_is_rounded_without_inputs_and_says_so()
    {
        DecoderModel model = Mixture(), plain = Mixture();
        Deafen(model, expert: 2);
        Deafen(plain, expert: 2);
        CompressionReport report = Compress(model, new Recipe("r", [new Wanda { Sparsity = 0.25 }, new Gptq { Bits = 4, GroupSize = 16 }]), Samples.Tokens());
        LayerResult deaf = Of(report, "model.layers.0.mlp.experts.2.gate_proj");
        Assert.Equal(["magnitude", "roundToNearest"], deaf.Steps.AsEnumerable());
        Assert.Equal(0, deaf.Tokens);
        Assert.Null(deaf.OutputError);
        Assert.Equal("model.layers.0.mlp.experts.2.gate_proj: 0 of 144 calibration tokens reached it, fewer than 32: it got magnitude, roundToNearest in place of wanda, gptq", Assert.Single(deaf.Warnings));
        Assert.Equal(["wanda", "gptq"], Of(report, "model.layers.0.mlp.experts.1.gate_proj").Steps.AsEnumerable());

        CompressionReport without = Compress(plain, new Recipe("r", [new Magnitude { Sparsity = 0.25, Scope = PruneScope.Row }, new RoundToNearest { Bits = 4, GroupSize = 16, Range = RangeFit.SquaredError }]), []);
        Assert.Equal(Of(without, deaf.Name).WeightError, deaf.WeightError);
    }

    static LayerResult Of(CompressionReport report, string name) => report.Layers.Single(layer => layer.Name == name);

    internal static DecoderModel Mixture() => Coppice.Training.Initialization.Random(
        Samples.Tiny with { Family = "qwen2_moe", Biases = BiasedParts.QueryKeyValue, Experts = new ExpertOptions { Count = 5, Chosen = 2, Width = 48, SharedWidth = 32, Shares = ExpertShares.All } }, seed: 1);

    // The expert's score is 0, the others' are a, 2a, -a and -2a for a number a of the token's: two of them are larger.
    static void Deafen(DecoderModel model, int expert)
    {
        Linear router = ((MixtureOfExperts)model.Blocks[0].FeedForward).Router;
        Span<float> rows = ((Coppice.Weights.DenseWeight)router.Weight).Values.Data;
        for (int e = 0; e < 5; e++)
            for (int i = 0; i < 32; i++)
                rows[e * 32 + i] = (i + 1) * (e - expert);
    }

    static CompressionReport Compress(DecoderModel model, Recipe recipe, int[][] tokens)
    {
        using WorkerPool pool = new(2);
        return new CompressionPipeline(recipe, pool).Run(model, tokens);
    }
}
