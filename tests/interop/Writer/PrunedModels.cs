using Coppice.Compression;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Interop;

/// <summary>Models that lost layers, heads and neurons, and then half of the weights that were left: other sizes than any that they were made with, in the family's own file.</summary>
static class PrunedModels
{
    static readonly IReadOnlyDictionary<string, string> Steps = new Dictionary<string, string>
    {
        ["llama-3.1"] = "pruneHeads: { share: 0.5 }|pruneNeurons: { share: 0.25, reconstruct: true }|dropLayers: { count: 1 }",
        ["mixtral"] = "pruneNeurons: { share: 0.5 }",
        ["qwen3"] = "pruneHeads: { share: 0.5 }|mergeNeurons: { share: 0.25 }|pruneChannels: { share: 0.5 }",
        ["gemma2"] = "pruneNeurons: { share: 0.5 }",
        ["gpt2"] = "dropLayers: { count: 1 }|pruneNeurons: { share: 0.25 }",
    };

    /// <summary>Each by the name of the model that it was made from, with <c>-pruned</c>.</summary>
    public static IEnumerable<(string Name, LanguageModel Model)> All(WorkerPool pool)
    {
        foreach ((string name, LanguageModel model) in FamilyModels.AllDecoders())
        {
            if (!Steps.TryGetValue(name, out string? steps))
                continue;
            Recipe recipe = RecipeReader.Parse($"steps:\n{string.Concat(steps.Split('|').Append("sparseGpt: { sparsity: 0.5 }").Select(step => $"  - {step}\n"))}", name);
            Random random = new(1);
            int[][] text = [.. Enumerable.Range(0, 8).Select(_ => Enumerable.Range(0, 64).Select(_ => random.Next(model.Model.VocabularySize)).ToArray())];
            yield return ($"{name}-pruned", model with { Model = new CompressionPipeline(recipe, pool).Run(model.Model, text).Model });
        }
    }
}
