using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Compression;

namespace Coppice.Tests.Models;

public class MatrixTargetsTests
{
    [Theory]
    [InlineData("*.mlp.*", "model.layers.3.mlp.up_proj", true)]
    [InlineData("re:layers\\.[0-3]\\.", "model.layers.3.mlp.up_proj", true)]
    [InlineData("re:^layers", "model.layers.3.mlp.up_proj", false)]
    [InlineData("kind:feedForward", "model.layers.3.mlp.up_proj", true)]
    [InlineData("kind:experts", "model.layers.3.mlp.experts.1.up_proj", true)]
    [InlineData("kind:feedForward", "model.layers.3.mlp.experts.1.up_proj", false)]
    [InlineData("kind:routers", "model.layers.3.mlp.gate", true)]
    [InlineData("kind:attention", "model.layers.3.self_attn.q_proj", true)]
    [InlineData("kind:head", "lm_head", true)]
    [InlineData("kind:embedding", "model.embed_tokens", true)]
    public void A_target_is_a_glob_a_regular_expression_or_a_part_of_the_model(string target, string name, bool matches) => Assert.Equal(matches, MatrixTargets.Matches(target, name));

    [Fact]
    public void Products_are_those_of_the_blocks_or_those_that_any_target_means()
    {
        DecoderModel model = Samples.Model();
        Assert.Equal(14, MatrixTargets.Of(model, [], "LoRA").Count);
        Assert.Equal(6, MatrixTargets.Of(model, ["kind:feedForward"], "LoRA").Count);
        Assert.Equal(3, MatrixTargets.Of(model, ["re:layers\\.1\\.mlp", "*.1.mlp.up_proj"], "LoRA").Count);
    }

    [Theory]
    [InlineData("kind:feedforwards", "LoRA: target is kind:feedforwards, wanted kind: and one of attention, feedForward, experts, routers, embedding, head; the nearest is 'kind:feedForward'")]
    [InlineData("*.mpl.*", "LoRA: target '*.mpl.*' matches none of the model's 14 products, of which the first is 'model.layers.0.self_attn.q_proj'")]
    public void A_target_that_means_nothing_is_refused(string target, string said) =>
        Assert.Equal(said, Assert.Throws<CoppiceException>(() => MatrixTargets.Of(Samples.Model(), [target], "LoRA")).Message);
}
