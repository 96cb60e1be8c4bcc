using System.Collections.Immutable;
using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>Which of a model's products something is done to.</summary>
static class MatrixTargets
{
    /// <summary>The products whose full names match any of the globs; with no glob every one of the blocks, but not what chooses experts.</summary>
    /// <exception cref="CoppiceException">A glob matches none; <paramref name="what"/> begins the message.</exception>
    public static IReadOnlyList<(string Name, Linear Layer)> Of(Model model, ImmutableArray<string> globs, string what)
    {
        List<(string Name, Linear Layer)> products = [.. model.Matrices().Where(part => part.Layer is Linear).Select(part => (part.Name, (Linear)part.Layer))];
        foreach (string glob in globs)
            if (!products.Any(product => Glob.Matches(glob, product.Name)))
                throw new CoppiceException($"{what}: target '{glob}' matches none of the model's {products.Count} products, of which the first is '{products[0].Name}'");
        if (!globs.IsEmpty)
            return [.. products.Where(product => globs.Any(glob => Glob.Matches(glob, product.Name)))];
        HashSet<Linear> inBlocks = [.. model.SourceBlocks.Concat(model.Blocks).SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices)];
        inBlocks.ExceptWith(model.Blocks.SelectMany(block => block.FeedForward.Routers));
        return [.. products.Where(product => inBlocks.Contains(product.Layer))];
    }
}
