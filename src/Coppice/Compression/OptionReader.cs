using System.Collections.Immutable;
using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;
using YamlDotNet.RepresentationModel;

namespace Coppice.Compression;

/// <summary>The options of one step in YAML. Asking for an option makes its name known; what was never asked for is an error.</summary>
internal sealed class OptionReader(string source, string step, YamlNode place, YamlMappingNode options, string kind = "step")
{
    readonly List<string> known = [];

    /// <summary>Whether the option is written down.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>A whole number from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public int Int(string name, int fallback, int least, int most)
    {
        if (Find(name) is not { } node)
            return fallback;
        return int.TryParse(Scalar(node), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most
            ? value
            : throw Wrong(name, $"a whole number from {least} to {most}");
    }

    /// <summary>The same, or a word.</summary>
    public int IntOr(string name, int fallback, int least, int most, (string Text, int Value) word) =>
        Find(name) is { } node && Scalar(node) == word.Text ? word.Value : Int(name, fallback, least, most);

    /// <summary>A number between two others, neither included.</summary>
    public double Between(string name, double fallback, double above, double below)
    {
        if (Find(name) is not { } node)
            return fallback;
        return double.TryParse(Scalar(node), NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value > above && value < below
            ? value
            : throw Wrong(name, string.Create(CultureInfo.InvariantCulture, $"a number above {above} and below {below}"));
    }

    /// <summary>One of some words.</summary>
    public T Choice<T>(string name, T fallback, params ReadOnlySpan<(string Word, T Value)> choices)
    {
        if (Find(name) is not { } node)
            return fallback;
        List<string> words = [];
        foreach ((string word, T value) in choices)
        {
            if (Scalar(node) == word)
                return value;
            words.Add(word);
        }
        throw Wrong(name, string.Join(" or ", words));
    }

    /// <summary>What a name stands for.</summary>
    public T Named<T>(string name, T fallback, Func<string, T> find)
    {
        if (Find(name) is not { } node)
            return fallback;
        try
        {
            return find(Show(node));
        }
        catch (CoppiceException error)
        {
            throw RecipeReader.Error(source, node, $"{step}.{name}: {error.Message}");
        }
    }

    /// <summary>The options that a name has of its own; null where it is not there.</summary>
    public OptionReader? Part(string name) => Find(name) switch
    {
        null => null,
        YamlMappingNode part => new OptionReader(source, name, part, part, kind: "part"),
        _ => throw Wrong(name, "a mapping"),
    };

    /// <summary>N:M, or null.</summary>
    public SparsityPattern? Pattern(string name)
    {
        if (Find(name) is not { } node)
            return null;
        return Scalar(node) is { } text && SparsityPattern.TryParse(text, out SparsityPattern pattern)
            ? pattern
            : throw Wrong(name, "\"N:M\" with 0 < N < M <= 64, such as \"2:4\"");
    }

    /// <summary>A text, or a list of them; none where nothing is written.</summary>
    public ImmutableArray<string> Names(string name)
    {
        if (Find(name) is not { } node)
            return [];
        IEnumerable<string?> names = node is YamlSequenceNode list ? list.Select(Scalar) : [Scalar(node)];
        return names.Any() && names.All(text => !string.IsNullOrEmpty(text)) ? [.. names!] : throw Wrong(name, "a name or a list of names");
    }

    /// <summary>The same where each says which matrices are meant.</summary>
    public ImmutableArray<string> Targets(string name)
    {
        ImmutableArray<string> targets = Names(name);
        foreach (string target in targets)
            if (MatrixTargets.Fault(target) is { } wanted)
                throw RecipeReader.Error(source, Find(name)!, $"{step}.{name} is {target}, wanted {wanted}");
        return targets;
    }

    /// <summary>A list of mappings with <c>targets</c>, each read over this step's own options.</summary>
    public IEnumerable<OptionReader> Overrides(string name)
    {
        if (Find(name) is not { } node)
            yield break;
        if (node is not YamlSequenceNode { Children.Count: > 0 } list)
            throw Wrong(name, "a list of mappings with 'targets' and what is other for them");
        foreach (YamlNode item in list)
        {
            if (item is not YamlMappingNode change || !change.Children.ContainsKey(new YamlScalarNode("targets")))
                throw RecipeReader.Error(source, item, $"{step}.{name} has {Show(item)}, wanted mappings with 'targets' and what is other for them");
            // What says which zeros or which size of the whole step gives way to what says it of its part.
            YamlMappingNode merged = [];
            foreach ((YamlNode key, YamlNode value) in options.Children)
                if (Scalar(key) is not ("targets" or "ignore") && Scalar(key) != name && !change.Children.ContainsKey(key) && !(Scalar(key) == "pattern" && change.Children.ContainsKey(new YamlScalarNode("sparsity"))))
                    merged.Add(key, value);
            foreach ((YamlNode key, YamlNode value) in change.Children)
                merged.Add(key, value);
            yield return new OptionReader(source, step, item, merged);
        }
    }

    /// <summary>Throws at the first option that the step does not have.</summary>
    public void Finish()
    {
        foreach (YamlNode key in options.Children.Keys)
            if (Scalar(key) is not { } name || !known.Contains(name))
                throw RecipeReader.Error(source, key, $"{kind} '{step}' has no option '{Show(key)}'; the nearest is '{NearestName.Of(Show(key), known)}'");
    }

    /// <summary>A failure about an option's value.</summary>
    public CoppiceException Wrong(string name, string wanted)
    {
        YamlNode? node = Find(name);
        return RecipeReader.Error(source, node ?? place, $"{step}.{name} is {Show(node)}, wanted {wanted}");
    }

    YamlNode? Find(string name)
    {
        if (!known.Contains(name))
            known.Add(name);
        return options.Children.TryGetValue(new YamlScalarNode(name), out YamlNode? node) ? node : null;
    }

    internal static string? Scalar(YamlNode node) => (node as YamlScalarNode)?.Value;

    internal static string Show(YamlNode? node) => node switch
    {
        YamlScalarNode scalar => scalar.Value ?? "",
        YamlSequenceNode => "a list",
        YamlMappingNode => "a mapping",
        _ => "absent",
    };
}
