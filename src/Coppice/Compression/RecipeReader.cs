using System.Collections.Immutable;
using Coppice.Models;
using Coppice.Tensors;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Coppice.Compression;

/// <summary>Recipes from YAML. Whatever is wrong is one line that names the file, the line, what was found and what was wanted.</summary>
public static class RecipeReader
{
    const int MaxLength = 1 << 16, MaxDepth = 16, MostSteps = 1000;

    const string Import = "import", Iterate = "iterate";

    /// <summary>Reads a file.</summary>
    public static Recipe ReadFile(string path)
    {
        if (!File.Exists(path))
            throw new CoppiceException($"{path}: no such recipe");
        return Parse(Text(path), path);
    }

    /// <summary>A file of moderate length.</summary>
    internal static string Text(string path)
    {
        long length = new FileInfo(path).Length;
        return length <= MaxLength
            ? File.ReadAllText(path)
            : throw new CoppiceException($"{path}: {length:N0} bytes, wanted at most {MaxLength:N0}");
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
        ImmutableArray<Step> all = [.. list.SelectMany(node => ReadSteps(node, source, importers))];
        return all.Length <= MostSteps ? new Recipe(name, all) : throw Error(source, list, $"{all.Length:N0} steps, wanted at most {MostSteps:N0}");
    }

    // One step, or what stands for several.
    static IEnumerable<Step> ReadSteps(YamlNode node, string source, ImmutableList<string> importers)
    {
        if (node is not YamlMappingNode { Children.Count: 1 } one)
            return [ReadStep(node, source)];
        (YamlNode key, YamlNode value) = one.Children[0];
        return OptionReader.Scalar(key) switch
        {
            Import => Imported(value, source, importers.Add(Path.GetFullPath(source))),
            Iterate => Iterated(key, value, source, importers),
            _ => [ReadStep(node, source)],
        };
    }

    // "- iterate: { rounds: R, steps: [...] }": the steps R times, with each pruning step's sparsity on its way. Every round takes the same share of what is left (Han et al. 2015; Frankle and Carbin
    // 2019), so that round r of R ends at 1 - (1 - s)^(r / R).
    static IEnumerable<Step> Iterated(YamlNode key, YamlNode value, string source, ImmutableList<string> importers)
    {
        if (value is not YamlMappingNode mapping || !mapping.Children.TryGetValue(new YamlScalarNode("steps"), out YamlNode? steps) || steps is not YamlSequenceNode { Children.Count: > 0 } list)
            throw Error(source, value, "iterate is a mapping with 'rounds' and 'steps'");
        OptionReader options = new(source, Iterate, key, mapping);
        options.Has("steps");
        int rounds = options.Int("rounds", 3, 1, 100);
        options.Finish();
        ImmutableArray<Step> once = [.. list.SelectMany(node => ReadSteps(node, source, importers))];
        if (!once.OfType<Prune.PruneStep>().Any() || once.Any(step => step is WeightStep { Effect: StepEffect.Quantize } or Quantize.Qat))
            throw Error(source, steps, "iterate takes steps that prune and steps that train between them, and none that quantizes");
        return Enumerable.Range(1, rounds).SelectMany(round => once.Select(step => step is Prune.PruneStep { Pattern: null } prune
            ? prune with { Sparsity = Math.Round(1 - Math.Pow(1 - prune.Sparsity, (double)round / rounds), 9) }
            : step));
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

    /// <summary>One YAML document that is not trusted.</summary>
    internal static YamlNode Load(string text, string source)
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
