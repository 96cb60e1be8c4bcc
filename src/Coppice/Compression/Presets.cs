using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>Recipes by name, for <c>--to</c>.</summary>
public static class Presets
{
    static readonly Dictionary<string, string> Steps = WithFeedback(new(StringComparer.Ordinal)
    {
        ["int8"] = "- roundToNearest: { bits: 8, groupSize: -1 }",
        ["int4"] = "- roundToNearest: { bits: 4, groupSize: 32 }",
        ["int4-gptq"] = "- gptq: { bits: 4, groupSize: 32 }",
        ["int4-awq"] = """
            - awq: { bits: 4, groupSize: 32 }
            - roundToNearest: { bits: 4, groupSize: 32, symmetric: false }
            """,
        ["q8_0"] = "- ggufBlock: { type: q8_0, targets: \"*\" }",
        // llama.cpp gives the table more bits than the blocks too.
        ["q4_0"] = Blocks("q4_0", "q8_0"),
        ["q4_1"] = Blocks("q4_1", "q8_0"),
        ["q5_0"] = Blocks("q5_0", "q8_0"),
        ["q5_1"] = Blocks("q5_1", "q8_0"),
        ["iq4_nl"] = Blocks("iq4_nl", "q8_0"),
        ["iq4_xs"] = Blocks("iq4_xs", "q6_k"),
        ["q6_k"] = Blocks("q6_k", "q6_k"),
        // What feeds the residual stream, and the values that attention mixes, suffer most from rounding.
        ["q2_k"] = Mixed("q2_k", values: "q4_k", down: "q3_k", output: "q3_k"),
        ["q3_k_m"] = Mixed("q3_k", values: "q5_k", down: "q4_k", output: "q4_k"),
        ["q4_k_m"] = Mixed("q4_k", values: "q6_k", down: "q5_k", output: "q4_k"),
        ["q5_k_m"] = Mixed("q5_k", values: "q6_k", down: "q6_k", output: "q5_k"),
        ["iq2_xxs"] = Mixed("iq2_xxs", values: "q2_k", down: "iq2_xxs", output: "iq2_xxs", others: "q5_k"),
        ["iq2_xs"] = Mixed("iq2_xs", values: "q2_k", down: "iq2_xs", output: "iq2_xs", others: "q5_k"),
        ["iq2_s"] = Mixed("iq2_xs", values: "iq3_s", down: "iq2_xs", output: "iq3_s", others: "q5_k"),
        ["iq2_m"] = Mixed("iq2_s", values: "iq3_s", down: "iq2_s", output: "iq3_s", others: "q5_k"),
        ["iq3_xxs"] = """
            - ggufBlock: { type: iq3_xxs, ignore: ["*.q_proj", "*.k_proj", "*.o_proj"] }
            - ggufBlock: { type: iq2_s, targets: ["model.layers.*.q_proj", "model.layers.*.k_proj"] }
            - ggufBlock: { type: iq3_s, targets: "model.layers.*.o_proj" }
            - ggufBlock: { type: q5_k, targets: "*", ignore: "model.layers.*" }
            """,
        ["iq3_xs"] = Mixed("iq3_xxs", values: "iq3_s", down: "iq3_s", output: "iq3_s"),
        ["iq3_s"] = Blocks("iq3_s", "q6_k"),
        ["iq3_m"] = Mixed("iq3_s", values: "q4_k", down: "iq3_s", output: "q4_k"),
        ["sparse50"] = "- sparseGpt: { sparsity: 0.5 }",
        ["2:4"] = "- sparseGpt: { pattern: \"2:4\" }",
        ["2:4-int4"] = """
            - sparseGpt: { pattern: "2:4" }
            - gptq: { bits: 4, groupSize: 32 }
            """,
    });

    static string Blocks(string type, string others) => $$"""
        - ggufBlock: { type: {{type}} }
        - ggufBlock: { type: {{others}}, targets: "*", ignore: "model.layers.*" }
        """;

    static string Mixed(string type, string values, string down, string output, string others = "q6_k") => $$"""
        - ggufBlock: { type: {{type}}, ignore: ["*.v_proj", "*.down_proj", "*.o_proj"] }
        - ggufBlock: { type: {{values}}, targets: "model.layers.*.v_proj" }
        - ggufBlock: { type: {{down}}, targets: "model.layers.*.down_proj" }
        - ggufBlock: { type: {{output}}, targets: "model.layers.*.o_proj" }
        - ggufBlock: { type: {{others}}, targets: "*", ignore: "model.layers.*" }
        """;

    // A recipe of blocks has a twin, NAME-gptq, in which what the layers read decides on codes and scales.
    static Dictionary<string, string> WithFeedback(Dictionary<string, string> steps)
    {
        foreach ((string name, string blocks) in steps.Where(preset => preset.Value.Contains("ggufBlock", StringComparison.Ordinal)).ToArray())
            steps.Add(name + "-gptq", blocks.Replace("ggufBlock: {", "ggufBlock: { rounding: gptq,", StringComparison.Ordinal));
        return steps;
    }

    /// <summary>The names that <see cref="Get"/> takes.</summary>
    public static IReadOnlyCollection<string> Names => Steps.Keys;

    /// <summary>The recipe of that name, in small or capital letters.</summary>
    /// <exception cref="CoppiceException">There is none.</exception>
    public static Recipe Get(string name)
    {
        string known = name.ToLowerInvariant();
        if (Steps.TryGetValue(known, out string? steps))
            return RecipeReader.Parse($"name: \"{known}\"\nsteps:\n{steps}", $"preset {known}");
        throw new CoppiceException($"unknown preset '{name}'; the nearest is '{NearestName.Of(name, Names)}' of {string.Join(", ", Names)}");
    }
}
