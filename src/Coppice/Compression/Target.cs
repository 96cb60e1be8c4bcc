using System.Text.RegularExpressions;
using Coppice.Models;

namespace Coppice.Compression;

/// <summary>Which matrices a recipe means: a glob over full names (<c>*.mlp.*</c>), <c>re:</c> with a regular expression, or <c>kind:</c> with a part of the model.</summary>
static class Target
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
