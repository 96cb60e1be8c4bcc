using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Compression;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Tests.Text;
using Coppice.Text;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Models;

public sealed class ModelStorageTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    // Phi-3, GPT-2 and GPT-NeoX store queries, keys and values as one; a .gguf all experts.
    [Theory]
    [InlineData("phi3", 3), InlineData("gpt2", 3), InlineData("gpt_neox", 3), InlineData("mixtral", 5), InlineData("llama", 0)]
    public void Matrices_that_a_file_stores_as_one_get_the_type_of_most_bits(string kind, int most)
    {
        DecoderModel model = Wide(kind);
        IReadOnlyList<IReadOnlyList<string>> together = ModelStorage.Together(model, inGguf: true);
        Assert.Equal(most, together.Select(names => names.Count).DefaultIfEmpty(0).Max());
        Recipe recipe = new("r",
        [
            new GgufBlock { Type = BlockFormat.Of<Q4_0>(), Ignore = ["*.v_proj", "*.experts.1.*", "*.down_proj"] },
            new GgufBlock { Type = BlockFormat.Of<Q5_0>(), Targets = ["*.v_proj"] },
            .. kind == "mixtral" ? [new GgufBlock { Type = BlockFormat.Of<Q8_0>(), Targets = ["*.experts.1.*"], Ignore = ["*.down_proj"] }] : (GgufBlock[])[],
        ]);
        new CompressionPipeline(recipe, Samples.Pool).Run(model, []);
        Dictionary<string, string> kinds = model.Matrices().ToDictionary(matrix => matrix.Name, matrix => matrix.Layer.Weight.Kind);
        Assert.All(together, names => Assert.Single(names.Select(name => kinds[name]).Distinct()));
        Assert.Equal(kind is "mixtral" or "llama" ? "q4_0" : "q5_0", kinds["model.layers.0.self_attn.q_proj"]);
        string file = folder["model.gguf"];
        ModelGguf.Save(model, BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = model.Config.VocabularySize }), file, "model", null);
        Assert.All(ModelGguf.Load(file).Model.Matrices().Where(matrix => kinds[matrix.Name] is not "f16" and not "f32"), matrix => Assert.Equal(kinds[matrix.Name], matrix.Layer.Weight.Kind));
    }

    [Fact]
    public void What_a_folder_or_file_could_not_hold_is_refused()
    {
        DecoderModel phi = Wide("phi3"), gpt = Wide("gpt2");
        string[] all = [.. gpt.Matrices().Select(matrix => matrix.Name)];
        Assert.StartsWith("model.layers.0.self_attn.q_proj and model.layers.0.self_attn.k_proj are stored as one tensor there", Refused(phi, inGguf: false, "model.layers.0.self_attn.q_proj"), StringComparison.Ordinal);
        Assert.StartsWith("a folder of a gpt2 model has model.layers.0.self_attn.q_proj with inputs and outputs exchanged", Refused(gpt, inGguf: false, all), StringComparison.Ordinal);
        Assert.Null(ModelStorage.Refuses(gpt, inGguf: true, all.ToHashSet()));
        Assert.Null(ModelStorage.Refuses(phi, inGguf: false, new HashSet<string>()));
    }

    // What llama.cpp adds or chooses by in float32 keeps its numbers, and is counted as it is written.
    [Fact]
    public void Positions_and_routers_keep_their_numbers()
    {
        foreach ((string kind, string name) in new[] { ("gpt2", "model.embed_positions"), ("mixtral", "model.layers.0.mlp.gate") })
        {
            DecoderModel model = Wide(kind);
            Recipe recipe = new("r", [new GgufBlock { Type = BlockFormat.Of<Q4_0>(), Targets = ["*"], Ignore = ["*.down_proj"] }]);
            Assert.Empty(new CompressionPlan("r", [.. recipe.Steps.Cast<WeightStep>()], 0, model).For(name));
            MatrixLayer layer = model.Matrices().First(matrix => matrix.Name == name).Layer;
            Assert.Equal(4L * layer.Weight.Shape.Length, ModelStorage.BytesOf(model, name, layer.Weight, inGguf: true));
        }
    }

    static string? Refused(Model model, bool inGguf, params string[] packed) => ModelStorage.Refuses(model, inGguf, packed.ToHashSet());

    // Of a width that blocks of 32 divide.
    DecoderModel Wide(string kind)
    {
        Directory.CreateDirectory(folder[kind]);
        new RandomCheckpoint(kind).Write(folder[kind]);
        return (DecoderModel)ModelFolder.Load(folder[kind]);
    }
}
