using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Tests.Compression;

public class RecipeTests
{
    [Fact]
    public void The_documented_example_reads_as_written()
    {
        Recipe recipe = RecipeReader.Parse("""
            name: prune-then-quantize
            steps:
              - wanda: { sparsity: 0.5, pattern: "2:4", targets: "*.mlp.*" }
              - gptq:  { bits: 4, groupSize: 128, symmetric: false, ignore: ["lm_head"] }
            """, "recipe.yaml");
        Assert.Equal("prune-then-quantize", recipe.Name);
        Wanda wanda = Assert.IsType<Wanda>(recipe.Steps[0]);
        Assert.Equal(new SparsityPattern(2, 4), wanda.Pattern);
        Assert.Equal(["*.mlp.*"], wanda.Targets.AsEnumerable());
        Gptq gptq = Assert.IsType<Gptq>(recipe.Steps[1]);
        Assert.Equal((4, 128, false, ColumnOrder.ActOrder, 0.01), (gptq.Bits, gptq.GroupSize, gptq.Symmetric, gptq.Order, gptq.Dampening));
        Assert.Equal(["lm_head"], gptq.Ignore.AsEnumerable());
    }

    [Fact]
    public void A_step_may_have_no_options()
    {
        Recipe recipe = RecipeReader.Parse("steps:\n- wanda\n- gptq:\n", "plain.yaml");
        Assert.Equal(["wanda", "gptq"], recipe.Steps.Select(step => step.Key));
        Assert.Equal("plain", recipe.Name);
    }

    [Theory]
    [InlineData("name: x\nsteps:\n  - wandy: { }", "r.yaml:3: unknown step 'wandy'; the nearest is 'wanda'")]
    [InlineData("steps:\n  - gptq:\n      bits: 4\n      gruopSize: 8", "r.yaml:4: step 'gptq' has no option 'gruopSize'; the nearest is 'groupSize'")]
    [InlineData("steps:\n  - gptq: { bits: four }", "r.yaml:2: gptq.bits is four, wanted a whole number from 2 to 8")]
    [InlineData("steps:\n  - gptq: { bits: 9 }", "r.yaml:2: gptq.bits is 9, wanted a whole number from 2 to 8")]
    [InlineData("steps:\n  - gptq: { bits: [4] }", "r.yaml:2: gptq.bits is a list, wanted a whole number from 2 to 8")]
    [InlineData("steps:\n  - gptq: { groupSize: 0 }", "r.yaml:2: gptq.groupSize is 0, wanted -1 for whole rows, tensor for the whole matrix, or 1 and more")]
    [InlineData("steps:\n  - gptq: { symmetric: yes }", "r.yaml:2: gptq.symmetric is yes, wanted true or false")]
    [InlineData("steps:\n  - gptq: { dampening: 0 }", "r.yaml:2: gptq.dampening is 0, wanted a number above 0 and below 1")]
    [InlineData("steps:\n  - gptq: { grid: nf4, bits: 3 }", "r.yaml:2: gptq.bits is 3, wanted nothing beside grid nf4, or its 4")]
    [InlineData("steps:\n  - gptq: { grid: nf5 }", "r.yaml:2: gptq.grid is nf5, wanted int or nf4 or fp4 or mxfp4 or fp8-e4m3 or fp8-e5m2 or powerOfTwo or ternary or binary or nonUniform")]
    [InlineData("steps:\n  - gptq: { grid: mxfp4, groupSize: 64 }", "r.yaml:2: gptq.groupSize is 64, wanted nothing beside grid mxfp4, or its 32")]
    [InlineData("steps:\n  - gptq: { grid: ternary, symmetric: false }", "r.yaml:2: gptq.symmetric is false, wanted true: grid ternary has no zero points")]
    [InlineData("steps:\n  - haar: { length: 24 }", "r.yaml:2: haar.length is 24, wanted a power of two")]
    [InlineData("steps:\n  - hqq: { groupSize: tensor }", "r.yaml:2: hqq.groupSize is tensor, wanted -1 for whole rows, or 1 and more")]
    [InlineData("steps:\n  - wanda: { sparsity: 1.5 }", "r.yaml:2: wanda.sparsity is 1.5, wanted a number above 0 and below 1")]
    [InlineData("steps:\n  - wanda: { sparsity: .nan }", "r.yaml:2: wanda.sparsity is .nan, wanted a number above 0 and below 1")]
    [InlineData("steps:\n  - wanda: { pattern: \"4:2\" }", "r.yaml:2: wanda.pattern is 4:2, wanted \"N:M\" with 0 < N < M <= 64, such as \"2:4\"")]
    [InlineData("steps:\n  - wanda: { pattern: \"2:4\", sparsity: 0.6 }", "r.yaml:2: wanda.sparsity is 0.6, wanted nothing beside pattern 2:4, or its 0.5")]
    [InlineData("steps:\n  - magnitude: { scope: colum }", "r.yaml:2: magnitude.scope is colum, wanted tensor or row")]
    [InlineData("steps:\n  - wanda: { targets: [] }", "r.yaml:2: wanda.targets is a list, wanted a name or a list of names")]
    [InlineData("steps:\n  - { wanda: {}, gptq: {} }", "r.yaml:2: a step is one key with its options, found 2 keys")]
    [InlineData("steps:\n  - wanda: 0.5", "r.yaml:2: the options of step 'wanda' are 0.5, wanted a mapping")]
    [InlineData("stepz: []", "r.yaml:1: a recipe has no 'stepz'; the nearest is 'steps'")]
    [InlineData("name: x\nsteps: []", "r.yaml:2: 'steps' is no list of at least one step")]
    [InlineData("- wanda", "r.yaml:1: a recipe is a mapping with 'name' and 'steps'")]
    [InlineData("", "r.yaml: 0 YAML documents, wanted one")]
    [InlineData("steps:\n  - wanda: { targets: \"kind:attentoin\" }", "r.yaml:2: wanda.targets is kind:attentoin, wanted kind: and one of attention, feedForward, experts, routers, embedding, head; the nearest is 'kind:attention'")]
    [InlineData("steps:\n  - wanda: { overrides: [0.5] }", "r.yaml:2: wanda.overrides has 0.5, wanted mappings with 'targets' and what is other for them")]
    [InlineData("steps:\n  - wanda:\n      overrides:\n        - { targets: a, sparsty: 0.5 }", "r.yaml:4: step 'wanda' has no option 'sparsty'; the nearest is 'sparsity'")]
    [InlineData("steps:\n  - wanda:\n      overrides:\n        - { targets: a, sparsity: 2 }", "r.yaml:4: wanda.sparsity is 2, wanted a number above 0 and below 1")]
    public void What_is_wrong_is_one_line_that_names_the_place(string yaml, string message) =>
        Assert.Equal(message, Assert.Throws<CoppiceException>(() => RecipeReader.Parse(yaml, "r.yaml")).Message);

    [Fact]
    public void A_regular_expression_that_is_none_is_told_by_its_line() =>
        Assert.StartsWith("r.yaml:2: wanda.ignore is re:(, wanted a regular expression behind re: (", Assert.Throws<CoppiceException>(() => RecipeReader.Parse("steps:\n  - wanda: { ignore: \"re:(\" }", "r.yaml")).Message, StringComparison.Ordinal);

    [Fact]
    public void Some_matrices_get_other_options()
    {
        Recipe recipe = RecipeReader.Parse("""
            steps:
              - wanda:
                  pattern: "2:4"
                  overrides:
                    - { targets: "*.down_proj", sparsity: 0.3 }
                    - { targets: ["*.0.mlp.down_proj"], pattern: "4:8" }
            """, "r.yaml");
        Wanda wanda = Assert.IsType<Wanda>(recipe.Steps[0]);
        Assert.Equal((new SparsityPattern(2, 4), 0.5), Of("model.layers.0.mlp.up_proj"));
        Assert.Equal((null, 0.3), Of("model.layers.1.mlp.down_proj"));
        Assert.Equal((new SparsityPattern(4, 8), 0.5), Of("model.layers.0.mlp.down_proj"));
        Assert.Equal(recipe.ToYaml(), RecipeReader.Parse(recipe.ToYaml(), "again").ToYaml());

        (SparsityPattern?, double) Of(string matrix) => wanda.For(matrix) is Wanda one ? (one.Pattern, one.Sparsity) : default;
    }

    [Fact]
    public void Rounds_take_the_same_share_of_what_is_left_each()
    {
        Recipe recipe = RecipeReader.Parse("steps:\n  - iterate: { rounds: 2, steps: [ { magnitude: { sparsity: 0.75 } }, fineTune ] }\n", "r.yaml");
        Assert.Equal(["magnitude", "fineTune", "magnitude", "fineTune"], recipe.Steps.Select(step => step.Key));
        Assert.Equal([0.5, 0.75], recipe.Steps.OfType<PruneStep>().Select(step => step.Sparsity));
    }

    [Theory]
    [InlineData("iterate: { rounds: 2 }", "r.yaml:2: iterate is a mapping with 'rounds' and 'steps'")]
    [InlineData("iterate: { round: 2, steps: [ wanda ] }", "r.yaml:2: step 'iterate' has no option 'round'; the nearest is 'rounds'")]
    [InlineData("iterate: { steps: [ fineTune ] }", "r.yaml:2: iterate takes steps that prune and steps that train between them, and none that quantizes")]
    [InlineData("iterate: { steps: [ wanda, gptq ] }", "r.yaml:2: iterate takes steps that prune and steps that train between them, and none that quantizes")]
    [InlineData("iterate: { steps: [ wanda, qat ] }", "r.yaml:2: iterate takes steps that prune and steps that train between them, and none that quantizes")]
    public void Rounds_that_cannot_be_are_told_by_their_line(string step, string message) =>
        Assert.Equal(message, Assert.Throws<CoppiceException>(() => RecipeReader.Parse($"steps:\n  - {step}\n", "r.yaml")).Message);

    [Fact]
    public void Another_recipe_or_a_preset_is_imported_in_place()
    {
        string folder = Directory.CreateTempSubdirectory("coppice-recipes-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "a.yaml"), "steps:\n  - wanda\n  - import: b.yaml\n  - import: int4-gptq\n");
            File.WriteAllText(Path.Combine(folder, "b.yaml"), "steps:\n  - magnitude: { targets: lm_head }\n");
            Assert.Equal(["wanda", "magnitude", "gptq"], RecipeReader.ReadFile(Path.Combine(folder, "a.yaml")).Steps.Select(step => step.Key));

            File.WriteAllText(Path.Combine(folder, "b.yaml"), "steps:\n  - import: a.yaml\n");
            Assert.Equal($"{Path.Combine(folder, "b.yaml")}:2: import of a.yaml, which imports this one", Assert.Throws<CoppiceException>(() => RecipeReader.ReadFile(Path.Combine(folder, "a.yaml"))).Message);
            File.WriteAllText(Path.Combine(folder, "b.yaml"), "steps:\n  - import: int4-gtpq\n");
            Assert.EndsWith("nor a preset; the nearest is 'int4-gptq'", Assert.Throws<CoppiceException>(() => RecipeReader.ReadFile(Path.Combine(folder, "a.yaml"))).Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("steps: [")]
    [InlineData("a: b: c")]
    [InlineData("steps:\n- wanda: { sparsity: 0.5, sparsity: 0.6 }")]
    [InlineData("steps: *unknown")]
    public void What_is_no_YAML_says_so_in_one_line(string yaml)
    {
        string message = Assert.Throws<CoppiceException>(() => RecipeReader.Parse(yaml, "r.yaml")).Message;
        Assert.StartsWith("r.yaml:", message);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void Deep_nesting_is_refused_before_it_can_exhaust_the_stack() =>
        Assert.Contains("nested more than", Assert.Throws<CoppiceException>(() => RecipeReader.Parse(new string('[', 50_000), "r.yaml")).Message);

    [Fact]
    public void Canonical_text_reads_back_to_itself()
    {
        foreach (string name in Presets.Names)
        {
            string yaml = Presets.Get(name).ToYaml();
            Assert.Equal(yaml, RecipeReader.Parse(yaml, "again").ToYaml());
        }
        Recipe odd = new("a \"b\"\\\n: c", [new Wanda { Sparsity = 0.1234567890123, Targets = ["*.mlp.*", "x: {y}"] }, new RandomPruning { Ignore = ["#"] }]);
        Recipe again = RecipeReader.Parse(odd.ToYaml(), "again");
        Assert.Equal((odd.Name, odd.ToYaml()), (again.Name, again.ToYaml()));
    }

    [Theory]
    [InlineData("{!!["), InlineData("{}:\u0085{\u0085|\uFEFF#'")]
    public void What_the_scanner_gives_up_on_is_no_YAML(string text) =>
        Assert.StartsWith("r.yaml: not YAML: ", Assert.Throws<CoppiceException>(() => RecipeReader.Parse(text, "r.yaml")).Message, StringComparison.Ordinal);

    [Fact]
    public void A_preset_goes_by_its_name_in_any_letters() => Assert.Equal(Presets.Get("q4_k_m").ToYaml(), Presets.Get("Q4_K_M").ToYaml());

    [Theory]
    [InlineData("int5", "unknown preset 'int5'; the nearest is 'int8' of int8, int4, int4-gptq, int4-awq, q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl, iq4_xs, q6_k, q2_k, q3_k_m, q4_k_m, q5_k_m, iq2_xxs, iq2_xs, iq2_s, iq2_m, iq3_xxs, iq3_xs, iq3_s, iq3_m, sparse50, 2:4, 2:4-int4, q8_0-gptq, q4_0-gptq, q4_1-gptq, q5_0-gptq, q5_1-gptq, iq4_nl-gptq, iq4_xs-gptq, q6_k-gptq, q2_k-gptq, q3_k_m-gptq, q4_k_m-gptq, q5_k_m-gptq, iq2_xxs-gptq, iq2_xs-gptq, iq2_s-gptq, iq2_m-gptq, iq3_xxs-gptq, iq3_xs-gptq, iq3_s-gptq, iq3_m-gptq")]
    public void A_preset_that_is_not_there_is_refused(string name, string message) =>
        Assert.Equal(message, Assert.Throws<CoppiceException>(() => Presets.Get(name)).Message);

    [Theory]
    [InlineData("*.mlp.*", "model.layers.0.mlp.up_proj", true)]
    [InlineData("*.mlp.*", "model.layers.0.self_attn.q_proj", false)]
    [InlineData("*", "lm_head", true)]
    [InlineData("model.layers.?.mlp.up_proj", "model.layers.7.mlp.up_proj", true)]
    [InlineData("model.layers.?.mlp.up_proj", "model.layers.17.mlp.up_proj", false)]
    [InlineData("lm_head", "lm_head2", false)]
    [InlineData("*a*b", "aabab", true)]
    [InlineData("a*", "", false)]
    public void A_glob_matches_whole_names(string pattern, string name, bool matches) => Assert.Equal(matches, Glob.Matches(pattern, name));
}
