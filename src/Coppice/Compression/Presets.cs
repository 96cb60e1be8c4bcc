using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>Recipes by name, for <c>--to</c>.</summary>
public static class Presets
{
    static readonly Dictionary<string, string> Steps = new(StringComparer.Ordinal)
    {
        ["int8"] = "- roundToNearest: { bits: 8, groupSize: -1 }",
        ["int4"] = "- roundToNearest: { bits: 4, groupSize: 32 }",
        ["int4-gptq"] = "- gptq: { bits: 4, groupSize: 32 }",
        ["q8_0"] = "- ggufBlock: { type: q8_0, targets: \"*\" }",
        // llama.cpp gives the table more bits than the blocks too.
        ["q4_0"] = """
            - ggufBlock: { type: q4_0 }
            - ggufBlock: { type: q8_0, targets: "*", ignore: "model.layers.*" }
            """,
        ["sparse50"] = "- wanda: { sparsity: 0.5 }",
        ["2:4"] = "- wanda: { pattern: \"2:4\" }",
        ["2:4-int4"] = """
            - wanda: { pattern: "2:4" }
            - gptq: { bits: 4, groupSize: 32 }
            """,
    };

    // Named by the command line's contract, but their methods are not built.
    static readonly Dictionary<string, string> Unbuilt = new(StringComparer.Ordinal)
    {
        ["int4-awq"] = "int4-gptq",
        ["q4_k_m"] = "q4_0",
    };

    /// <summary>The names that <see cref="Get"/> takes.</summary>
    public static IReadOnlyCollection<string> Names => Steps.Keys;

    /// <summary>The recipe of that name.</summary>
    /// <exception cref="CoppiceException">There is none, or not yet.</exception>
    public static Recipe Get(string name)
    {
        if (Steps.TryGetValue(name, out string? steps))
            return RecipeReader.Parse($"name: \"{name}\"\nsteps:\n{steps}", $"preset {name}");
        if (Unbuilt.TryGetValue(name, out string? instead))
            throw new CoppiceException($"preset '{name}' is not available in this version; the closest that is: '{instead}'");
        throw new CoppiceException($"unknown preset '{name}'; the nearest is '{NearestName.Of(name, Names)}' of {string.Join(", ", Names)}");
    }
}
