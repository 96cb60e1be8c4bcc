using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Compression;

public class CompressionPlanTests
{
    [Fact]
    public void Without_targets_a_step_takes_every_matrix_of_the_blocks_and_no_other()
    {
        DecoderModel model = Samples.Model(head: HeadKind.Untied);
        CompressionPlan plan = Plan(new Recipe("r", [new Wanda()]), model);
        Assert.Equal(2 * 7, plan.Count);
        Assert.Empty(plan.For("model.embed_tokens"));
        Assert.Empty(plan.For("lm_head"));
    }

    [Fact]
    public void Embedding_and_head_are_taken_where_they_are_named()
    {
        CompressionPlan plan = Plan(new Recipe("r", [new Magnitude { Targets = ["model.embed_tokens", "lm_head"] }]), Samples.Model(head: HeadKind.Untied));
        Assert.Equal(2, plan.Count);
    }

    [Fact]
    public void A_target_that_matches_nothing_is_an_error() => Fails("r', step 1 (wanda): target '*.mpl.*' matches none of the model's 15 matrices", new Wanda { Targets = ["*.mlp.*", "*.mpl.*"] });

    [Fact]
    public void Ignoring_every_target_is_an_error() => Fails("nothing is left to do", new Wanda { Targets = ["*.mlp.*"], Ignore = ["model.*"] });

    [Fact]
    public void Two_quantizers_on_one_matrix_contradict_each_other() =>
        Fails("step 2 (gptq): model.layers.0.self_attn.q_proj is quantized by roundToNearest already, and is not to be quantized after that", new RoundToNearest { GroupSize = 32 }, new Gptq { GroupSize = 32 });

    [Fact]
    public void Pruning_what_is_quantized_contradicts_itself() => Fails("quantized by roundToNearest already, and is not to be pruned after that", new RoundToNearest { GroupSize = 32 }, new Wanda());

    [Fact]
    public void Pruning_twice_contradicts_itself() => Fails("pruned by magnitude already, and is not to be pruned after that", new Magnitude(), new Wanda());

    [Fact]
    public void Steps_on_different_matrices_do_not_contradict_each_other() =>
        Assert.Equal(2 * 7, Plan(new Recipe("r", [new RoundToNearest { GroupSize = 32, Targets = ["*.mlp.*"] }, new Wanda { Targets = ["*.self_attn.*"] }]), Samples.Model()).Count);

    [Fact]
    public void A_group_that_does_not_divide_the_inputs_is_an_error_with_those_that_do() =>
        Fails("model.layers.0.self_attn.q_proj [32, 32]: groupSize 48 does not divide its 32 inputs; use 32, 16, -1", new RoundToNearest { GroupSize = 48 });

    [Fact]
    public void A_pattern_that_does_not_divide_the_inputs_is_an_error() => Fails("pattern 2:5 needs a number of inputs that 5 divides, found 32", new Magnitude { Pattern = new SparsityPattern(2, 5) });

    [Fact]
    public void What_is_compressed_already_is_not_compressed_again_in_silence()
    {
        DecoderModel model = Samples.Model();
        model.Blocks[0].Attention.Query.Weight = BlockWeight.From<Q8_0>(32, 32, model.Blocks[0].Attention.Query.Weight.ToDense());
        string message = Assert.Throws<CoppiceException>(() => Plan(new Recipe("r", [new Wanda()]), model)).Message;
        Assert.Contains("model.layers.0.self_attn.q_proj is stored as q8_0 already", message);
    }

    [Fact]
    public void Blocks_longer_than_a_row_are_an_error_with_those_that_fit() =>
        Fails("q_proj [32, 32]: its 32 inputs are no multiple of 256, a q4_k block's length; choose another type, or one for such matrices with 'otherwise' in a recipe: q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl, mxfp4",
            new GgufBlock { Type = BlockFormat.Of<Q4_K>() });

    [Fact]
    public void Another_type_for_rows_that_blocks_do_not_divide_is_taken_and_told()
    {
        DecoderModel model = Samples.Model();
        using WorkerPool pool = new(1);
        Recipe recipe = RecipeReader.Parse("name: r\nsteps:\n  - ggufBlock: { type: q4_k, otherwise: q5_0 }", "r");
        CompressionReport report = new CompressionPipeline(recipe, pool).Run(model, []);
        Assert.All(report.Layers.Where(layer => layer.Steps.Length > 0), layer => Assert.Equal("q5_0", layer.Kind));
        Assert.Contains("model.layers.0.self_attn.q_proj: stored as q5_0: its 32 inputs are no multiple of 256, a q4_k block's length", report.Warnings);
        Assert.IsType<BlockWeight<Q5_0>>(model.Blocks[0].Attention.Query.Weight);
    }

    static void Fails(string part, params Step[] steps)
    {
        string message = Assert.Throws<CoppiceException>(() => Plan(new Recipe("r", [.. steps]), Samples.Model())).Message;
        Assert.Contains(part, message);
    }

    static CompressionPlan Plan(Recipe recipe, Model model) => new(recipe.Name, [.. recipe.Steps.Cast<WeightStep>()], 0, model);
}
