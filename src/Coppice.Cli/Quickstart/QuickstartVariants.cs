using Coppice.Compression;

namespace Coppice.Cli.Quickstart;

/// <summary>What the story compresses the model to.</summary>
static class QuickstartVariants
{
    /// <summary>The fine-tuned model in 16 bits.</summary>
    public const string Base = "base";

    /// <summary>The default model before fine-tuning.</summary>
    public const string Before = "before fine-tuning";

    /// <summary>The variant that is explained and written.</summary>
    public static (string Name, Recipe Recipe) Deployed => All.Single(variant => variant.Name == "wanda 30% + gptq int4");

    /// <summary>Every variant with its recipe, in the order of the table.</summary>
    public static IReadOnlyList<(string Name, Recipe Recipe)> All { get; } =
    [
        ("int8", Presets.Get("q8_0")),
        ("int4 to nearest", Parse("roundToNearest: { bits: 4, groupSize: 32 }", Table)),
        ("int4 gptq", Parse("gptq: { bits: 4, groupSize: 32 }", Table)),
        ("magnitude 50%", Parse("magnitude: { sparsity: 0.5 }")),
        ("wanda 50%", Parse("wanda: { sparsity: 0.5 }")),
        ("wanda 30% + gptq int4", Parse("wanda: { sparsity: 0.3 }", "gptq: { bits: 4, groupSize: 32 }", Table)),
        ("2:4 + gptq int4", Parse("wanda: { pattern: \"2:4\" }", "gptq: { bits: 4, groupSize: 32 }", Table)),
    ];

    // A small model's table of tokens is a sixth of it: eight bits a number lose next to nothing.
    const string Table = "roundToNearest: { bits: 8, groupSize: 32, targets: \"model.embed_tokens\" }";

    static Recipe Parse(params string[] steps) =>
        RecipeReader.Parse($"name: quickstart\nsteps:\n{string.Concat(steps.Select(step => $"  - {step}\n"))}", "quickstart");
}
