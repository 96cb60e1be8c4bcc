using System.Collections.Immutable;
using System.Text;

namespace Coppice.Compression;

/// <summary>What is to be done to a model, step after step.</summary>
public sealed record Recipe(string Name, ImmutableArray<Step> Steps)
{
    /// <summary>Canonical YAML: every option written out, in a fixed order. Equal recipes give equal text, and <see cref="RecipeReader"/> reads it back.</summary>
    public string ToYaml()
    {
        StringBuilder text = new();
        text.Append("name: ").Append(Quote(Name)).Append("\nsteps:\n");
        foreach (Step step in Steps)
        {
            List<string> options = [.. OptionsOf(step)];
            if (!step.Targets.IsEmpty)
                options.Add($"targets: {List(step.Targets)}");
            if (!step.Ignore.IsEmpty)
                options.Add($"ignore: {List(step.Ignore)}");
            if (step is WeightStep { Overrides.IsEmpty: false } several)
                options.Add($"overrides: [{string.Join(", ", several.Overrides.Select(change => $"{{ targets: {List(change.Targets)}, {string.Join(", ", OptionsOf(change.Step))} }}"))}]");
            text.Append("  - ").Append(step.Key).Append(": { ").AppendJoin(", ", options).Append(" }\n");
        }
        return text.ToString();
    }

    static IEnumerable<string> OptionsOf(Step step) => step.Options.Select(option => $"{option.Name}: {option.Value}");

    internal static string List(ImmutableArray<string> names) => $"[{string.Join(", ", names.Select(Quote))}]";

    static string Quote(string text)
    {
        StringBuilder quoted = new("\"");
        foreach (char letter in text)
            quoted.Append(letter is '"' or '\\' ? $"\\{letter}" : char.IsControl(letter) ? $"\\u{(int)letter:x4}" : letter.ToString());
        return quoted.Append('"').ToString();
    }
}
