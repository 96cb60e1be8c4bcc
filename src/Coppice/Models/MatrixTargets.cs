using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>Which of a model's matrices something is done to: each target is a glob over full names (<c>*.mlp.*</c>), <c>re:</c> with a regular expression, or <c>kind:</c> with a part of the model.</summary>
public static class MatrixTargets
{
    const string Regular = "re:", Kind = "kind:";

    /// <summary>Parts of a model, by the names that its matrices have whatever the family.</summary>
    public static readonly IReadOnlyList<string> Kinds = ["attention", "feedForward", "experts", "routers", "embedding", "head"];

    /// <summary>Whether a matrix, by its full name without <c>.weight</c>, is meant.</summary>
    public static bool Matches(string target, string name) =>
        target.StartsWith(Regular, StringComparison.Ordinal) ? Expression(target).IsMatch(name)
        : target.StartsWith(Kind, StringComparison.Ordinal) ? KindOf(name) == target[Kind.Length..]
        : Glob.Matches(target, name);

    /// <summary>What cannot be right about a target, or null.</summary>
    public static string? Fault(string target)
    {
        if (target.StartsWith(Kind, StringComparison.Ordinal) && !Kinds.Contains(target[Kind.Length..]))
            return $"kind: and one of {string.Join(", ", Kinds)}; the nearest is '{Kind}{NearestName.Of(target[Kind.Length..], Kinds)}'";
        if (!target.StartsWith(Regular, StringComparison.Ordinal))
            return null;
        try
        {
            Expression(target);
            return null;
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            return $"a regular expression behind re: ({error.Message})";
        }
    }

    /// <summary>Every matrix of the blocks, but not what chooses experts: what is meant where no target is given.</summary>
    public static HashSet<MatrixLayer> InBlocks(Model model)
    {
        HashSet<MatrixLayer> inBlocks = [.. model.SourceBlocks.Concat(model.Blocks).SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices)];
        inBlocks.ExceptWith(model.Blocks.SelectMany(block => block.FeedForward.Routers));
        return inBlocks;
    }

    /// <summary>The matrices that targets mean, or those of the blocks where there are none, less what is ignored.</summary>
    /// <exception cref="CoppiceException">A target matches none, or none is left; <paramref name="place"/> begins the message.</exception>
    public static IReadOnlyList<(string Name, MatrixLayer Layer)> Chosen(Model model, ImmutableArray<string> targets, ImmutableArray<string> ignored, string place)
    {
        List<(string Name, MatrixLayer Layer)> matrices = [.. model.Matrices()];
        Check(matrices, targets, place);
        HashSet<MatrixLayer> inBlocks = InBlocks(model);
        List<(string Name, MatrixLayer Layer)> chosen = [.. matrices.Where(matrix =>
            (targets.IsEmpty ? inBlocks.Contains(matrix.Layer) : targets.Any(target => Matches(target, matrix.Name))) && !ignored.Any(target => Matches(target, matrix.Name)))];
        return chosen.Count > 0 ? chosen : throw new CoppiceException($"{place}: nothing is left to do, 'ignore' takes out every target");
    }

    /// <summary>Throws at the first target that matches none of the matrices.</summary>
    internal static void Check(IReadOnlyList<(string Name, MatrixLayer Layer)> matrices, IEnumerable<string> targets, string place)
    {
        foreach (string target in targets)
            if (!matrices.Any(matrix => Matches(target, matrix.Name)))
                throw new CoppiceException($"{place}: target '{target}' matches none of the model's {matrices.Count} matrices; the nearest is '{NearestName.Of(target, matrices.Select(matrix => matrix.Name))}'");
    }

    /// <summary>The products that any of the targets means.</summary>
    /// <exception cref="CoppiceException">A target cannot be right, or matches none; <paramref name="what"/> begins the message.</exception>
    public static IReadOnlyList<(string Name, Linear Layer)> Of(Model model, ImmutableArray<string> targets, string what)
    {
        List<(string Name, Linear Layer)> products = [.. model.Matrices().Where(part => part.Layer is Linear).Select(part => (part.Name, (Linear)part.Layer))];
        foreach (string target in targets)
            if (Fault(target) is { } wanted)
                throw new CoppiceException($"{what}: target is {target}, wanted {wanted}");
            else if (!products.Any(product => Matches(target, product.Name)))
                throw new CoppiceException($"{what}: target '{target}' matches none of the model's {products.Count} products, of which the first is '{products[0].Name}'");
        if (!targets.IsEmpty)
            return [.. products.Where(product => targets.Any(target => Matches(target, product.Name)))];
        HashSet<MatrixLayer> inBlocks = InBlocks(model);
        return [.. products.Where(product => inBlocks.Contains(product.Layer))];
    }

    // Without backtracking the time is linear in the name, whatever the expression.
    static Regex Expression(string target) => new(target[Regular.Length..], RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);

    static string KindOf(string name) =>
        name is "lm_head" ? "head"
        : name.Contains("attn.", StringComparison.Ordinal) ? "attention"
        : name.EndsWith(".mlp.gate", StringComparison.Ordinal) || name.EndsWith("_expert_gate", StringComparison.Ordinal) ? "routers"
        : name.Contains(".experts.", StringComparison.Ordinal) || name.Contains(".shared_expert.", StringComparison.Ordinal) ? "experts"
        : name.Contains(".mlp.", StringComparison.Ordinal) ? "feedForward"
        : "embedding";
}
