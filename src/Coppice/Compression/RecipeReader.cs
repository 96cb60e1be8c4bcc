using System.Collections.Immutable;
using Coppice.Tensors;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Coppice.Compression;

/// <summary>Recipes from YAML. Whatever is wrong is one line that names the file, the line, what was found and what was wanted.</summary>
public static class RecipeReader
{
    const int MaxLength = 1 << 16, MaxDepth = 16, MostSteps = 1000;

    const string Import = "import";

    /// <summary>Reads a file.</summary>
    public static Recipe ReadFile(string path)
    {
        if (!File.Exists(path))
            throw new CoppiceException($"{path}: no such recipe");
        return Parse(Text(path), path);
    }

    static string Text(string path)
    {
        long length = new FileInfo(path).Length;
        return length <= MaxLength
            ? File.ReadAllText(path)
            : throw new CoppiceException($"{path}: {length:N0} bytes, wanted a recipe of at most {MaxLength:N0}");
    }

    /// <summary>Reads a text; <paramref name="source"/> names it in failures.</summary>
    public static Recipe Parse(string text, string source) => Parse(text, source, []);

    static Recipe Parse(string text, string source, ImmutableList<string> importers)
    {
        YamlNode root = Load(text, source);
        if (root is not YamlMappingNode top)
            throw Error(source, root, "a recipe is a mapping with 'name' and 'steps'");
        foreach (YamlNode key in top.Children.Keys)
            if (OptionReader.Scalar(key) is not ("name" or "steps"))
                throw Error(source, key, $"a recipe has no '{OptionReader.Show(key)}'; the nearest is '{NearestName.Of(OptionReader.Show(key), ["name", "steps"])}'");
        string name = !top.Children.TryGetValue("name", out YamlNode? given) ? Path.GetFileNameWithoutExtension(source)
            : OptionReader.Scalar(given) is { Length: > 0 } value ? value
            : throw Error(source, given, $"name is {OptionReader.Show(given)}, wanted a text");
        if (!top.Children.TryGetValue("steps", out YamlNode? steps) || steps is not YamlSequenceNode { Children.Count: > 0 } list)
            throw Error(source, steps ?? root, "'steps' is no list of at least one step");
        ImmutableArray<Step> all = [.. list.SelectMany(node => node is YamlMappingNode { Children.Count: 1 } one && OptionReader.Scalar(one.Children[0].Key) == Import
            ? Imported(one.Children[0].Value, source, importers.Add(Path.GetFullPath(source)))
            : [ReadStep(node, source)])];
        return all.Length <= MostSteps ? new Recipe(name, all) : throw Error(source, list, $"{all.Length:N0} steps, wanted at most {MostSteps:N0}");
    }

    // "- import: other.yaml", beside the recipe that says so, or "- import: PRESET": the other's steps in its place.
    static IEnumerable<Step> Imported(YamlNode node, string source, ImmutableList<string> importers)
    {
        if (OptionReader.Scalar(node) is not { Length: > 0 } named)
            throw Error(source, node, $"import is {OptionReader.Show(node)}, wanted a recipe's file or a preset's name");
        if (Presets.Names.Contains(named))
            return Presets.Get(named).Steps;
        string path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(source))!, named);
        if (importers.Contains(path) || importers.Count >= MaxDepth)
            throw Error(source, node, importers.Contains(path) ? $"import of {named}, which imports this one" : $"imports go more than {MaxDepth} deep");
        if (!File.Exists(path))
            throw Error(source, node, $"import of {named}, which is neither a file at {path} nor a preset; the nearest is '{NearestName.Of(named, Presets.Names)}'");
        return Parse(Text(path), path, importers).Steps;
    }

    // "- key: { options }", "- key:" or "- key".
    static Step ReadStep(YamlNode node, string source)
    {
        (YamlNode key, YamlNode? value) = node switch
        {
            YamlScalarNode scalar => (scalar, null),
            YamlMappingNode { Children.Count: 1 } mapping => (mapping.Children[0].Key, mapping.Children[0].Value),
            _ => throw Error(source, node, $"a step is one key with its options, found {(node is YamlMappingNode several ? $"{several.Children.Count} keys" : "a list")}"),
        };
        string name = OptionReader.Show(key);
        YamlMappingNode options = value switch
        {
            YamlMappingNode mapping => mapping,
            null or YamlScalarNode { Value: null or "" } => [],
            _ => throw Error(source, value, $"the options of step '{name}' are {OptionReader.Show(value)}, wanted a mapping"),
        };
        return StepRegistry.Create(name, new OptionReader(source, name, key, options))
            ?? throw Error(source, key, $"unknown step '{name}'; the nearest is '{NearestName.Of(name, StepRegistry.Keys)}'");
    }

    static YamlNode Load(string text, string source)
    {
        try
        {
            CheckDepth(text, source);
            YamlStream stream = [];
            stream.Load(new StringReader(text));
            return stream.Documents.Count == 1
                ? stream.Documents[0].RootNode
                : throw new CoppiceException($"{source}: {stream.Documents.Count} YAML documents, wanted one");
        }
        catch (YamlException error)
        {
            throw new CoppiceException($"{source}:{error.Start.Line}: not YAML: {OneLine(error.Message)}", error);
        }
        catch (Exception error) when (error is InvalidOperationException or ArgumentException)
        {
            // What YamlDotNet's scanner throws for some plain scalars and tags that break off.
            throw new CoppiceException($"{source}: not YAML: {OneLine(error.Message)}", error);
        }
    }

    // The tree is built by recursion, so that its depth is looked at first.
    static void CheckDepth(string text, string source)
    {
        Parser parser = new(new StringReader(text));
        int depth = 0;
        while (parser.MoveNext())
        {
            depth += parser.Current!.NestingIncrease;
            if (depth > MaxDepth)
                throw new CoppiceException($"{source}:{parser.Current.Start.Line}: nested more than {MaxDepth} deep");
        }
    }

    internal static CoppiceException Error(string source, YamlNode place, string message) => new($"{source}:{place.Start.Line}: {OneLine(message)}");

    // What a file says may neither break the line nor steer a terminal.
    static string OneLine(string message) => string.Concat(message.Take(400).Select(letter => char.IsControl(letter) ? '?' : letter));
}
