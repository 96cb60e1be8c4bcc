using System.Globalization;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>Members of values: a dictionary's entries, and the methods of Python's texts and dictionaries that templates call. None of them changes a value.</summary>
static class TemplateMethods
{
    /// <summary><c>value.key</c> or <c>value[key]</c>; undefined where there is none.</summary>
    public static object? Member(object? value, object? key)
    {
        switch (value, key)
        {
            case (Undefined undefined, _):
                throw new CoppiceException($"'{undefined.Name}' is undefined");
            case (TemplateMap map, string name) when map.TryGetValue(name, out object? entry):
                return entry;
            case (List<object?> list, long index):
                return At(list, index, key);
            case (string text, long index):
                return At([.. text.EnumerateRunes().Select(rune => (object?)rune.ToString())], index, key);
            case (string text, string name) when TextMethod(text, name) is { } method:
                return method;
            case (TemplateMap map, string name) when MapMethod(map, name) is { } method:
                return method;
            default:
                return new Undefined(TemplateValues.ToText(key is string or long ? key : "member"));
        }
    }

    static object? At(List<object?> list, long index, object? key)
    {
        long place = index < 0 ? index + list.Count : index;
        return place >= 0 && place < list.Count ? list[(int)place] : new Undefined(TemplateValues.ToText(key));
    }

    /// <summary><c>value[start:stop:step]</c>.</summary>
    public static object? Slice(object? value, object? start, object? stop, object? step)
    {
        if (value is not (string or List<object?>))
            throw new CoppiceException($"{TemplateValues.TypeOf(value)} cannot be sliced");
        List<object?> items = [.. TemplateValues.Items(value)];
        long by = step is null ? 1 : TemplateValues.ToInteger(step);
        if (by == 0)
            throw new CoppiceException("a slice has step 0");
        long from = Bound(start, by > 0 ? 0 : items.Count - 1), to = Bound(stop, by > 0 ? items.Count : -1);
        List<object?> taken = [];
        for (long i = from; by > 0 ? i < to : i > to; i += by)
            taken.Add(items[(int)i]);
        return value is string ? string.Concat(taken) : taken;

        long Bound(object? bound, long absent)
        {
            if (bound is null)
                return absent;
            long place = TemplateValues.ToInteger(bound);
            if (place < 0)
                place += items.Count;
            return by > 0 ? Math.Clamp(place, 0, items.Count) : Math.Clamp(place, -1, items.Count - 1);
        }
    }

    /// <summary>Key and value of each entry.</summary>
    public static List<object?> Pairs(TemplateMap map) => [.. map.Select(entry => (object?)new List<object?> { entry.Key, entry.Value })];

    public static string Strip(string text, object? characters, bool left, bool right)
    {
        string stripped = text;
        if (characters is null)
        {
            stripped = left ? stripped.TrimStart() : stripped;
            return right ? stripped.TrimEnd() : stripped;
        }
        char[] set = TemplateValues.ToText(characters).ToCharArray();
        if (set.Length == 0)
            return text;
        stripped = left ? stripped.TrimStart(set) : stripped;
        return right ? stripped.TrimEnd(set) : stripped;
    }

    public static string Replace(string text, string old, string replacement, object? count)
    {
        if (count is null or < 0L)
            return old.Length > 0 ? text.Replace(old, replacement, StringComparison.Ordinal) : string.Concat(text.EnumerateRunes().Select(rune => replacement + rune)) + replacement;
        StringBuilder builder = new();
        int at = 0;
        for (long left = TemplateValues.ToInteger(count); left > 0 && old.Length > 0 && text.IndexOf(old, at, StringComparison.Ordinal) is int found and >= 0; left--)
        {
            builder.Append(text, at, found - at).Append(replacement);
            at = found + old.Length;
        }
        return builder.Append(text, at, text.Length - at).ToString();
    }

    public static string Title(string text)
    {
        StringBuilder builder = new(text.Length);
        bool inWord = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            builder.Append(inWord ? Rune.ToLowerInvariant(rune) : Rune.ToUpperInvariant(rune));
            inWord = Rune.IsLetter(rune);
        }
        return builder.ToString();
    }

    public static string Capitalize(string text) => text.Length == 0 ? text : char.ToUpperInvariant(text[0]) + text[1..].ToLowerInvariant();

    static TemplateFunction? TextMethod(string text, string name) => name switch
    {
        "strip" => (arguments, _) => Strip(text, arguments.FirstOrDefault(), left: true, right: true),
        "lstrip" => (arguments, _) => Strip(text, arguments.FirstOrDefault(), left: true, right: false),
        "rstrip" => (arguments, _) => Strip(text, arguments.FirstOrDefault(), left: false, right: true),
        "split" => (arguments, named) => Split(text, arguments.FirstOrDefault(), arguments.ElementAtOrDefault(1) ?? named.GetValueOrDefault("maxsplit")),
        "rsplit" => (arguments, named) => SplitFromEnd(text, arguments.FirstOrDefault(), arguments.ElementAtOrDefault(1) ?? named.GetValueOrDefault("maxsplit")),
        "splitlines" => (_, _) => text.Split('\n').Select(line => (object?)line.TrimEnd('\r')).ToList(),
        "startswith" => (arguments, _) => Any(arguments, text.StartsWith),
        "endswith" => (arguments, _) => Any(arguments, text.EndsWith),
        "replace" => (arguments, _) => Replace(text, TemplateValues.ToText(arguments.ElementAtOrDefault(0)), TemplateValues.ToText(arguments.ElementAtOrDefault(1)), arguments.ElementAtOrDefault(2)),
        "upper" => (_, _) => text.ToUpperInvariant(),
        "lower" => (_, _) => text.ToLowerInvariant(),
        "title" => (_, _) => Title(text),
        "capitalize" => (_, _) => Capitalize(text),
        "join" => (arguments, _) => string.Join(text, TemplateValues.Items(arguments.FirstOrDefault()).Select(TemplateValues.ToText)),
        "find" => (arguments, _) => (long)text.IndexOf(TemplateValues.ToText(arguments.FirstOrDefault()), StringComparison.Ordinal),
        "rfind" => (arguments, _) => (long)text.LastIndexOf(TemplateValues.ToText(arguments.FirstOrDefault()), StringComparison.Ordinal),
        "count" => (arguments, _) => arguments.FirstOrDefault() is string { Length: > 0 } part ? (text.Length - text.Replace(part, "", StringComparison.Ordinal).Length) / (long)part.Length : 0L,
        "isdigit" => (_, _) => text.Length > 0 && text.All(char.IsDigit),
        "isalpha" => (_, _) => text.Length > 0 && text.All(char.IsLetter),
        "isspace" => (_, _) => text.Length > 0 && text.All(char.IsWhiteSpace),
        "isupper" => (_, _) => text.Any(char.IsUpper) && !text.Any(char.IsLower),
        "islower" => (_, _) => text.Any(char.IsLower) && !text.Any(char.IsUpper),
        _ => null,
    };

    static TemplateFunction? MapMethod(TemplateMap map, string name) => name switch
    {
        "items" => (_, _) => Pairs(map),
        "keys" => (_, _) => map.Keys.Select(key => (object?)key).ToList(),
        "values" => (_, _) => map.Values.ToList(),
        "get" => (arguments, named) => arguments.FirstOrDefault() is string key && map.TryGetValue(key, out object? value) ? value : arguments.ElementAtOrDefault(1) ?? named.GetValueOrDefault("default"),
        _ => null,
    };

    static List<object?> Split(string text, object? separator, object? most)
    {
        int count = most is null or < 0L ? int.MaxValue : (int)Math.Clamp(TemplateValues.ToInteger(most) + 1, 1, int.MaxValue);
        if (separator is null)
            return [.. text.Split((char[]?)null, count, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)];
        string between = TemplateValues.ToText(separator);
        return between.Length > 0 ? [.. text.Split(between, count)] : throw new CoppiceException("a text is split at nothing");
    }

    static List<object?> SplitFromEnd(string text, object? separator, object? most)
    {
        List<object?> parts = Split(text, separator, null);
        if (separator is null || most is null or < 0L || parts.Count <= TemplateValues.ToInteger(most) + 1)
            return parts;
        int joined = parts.Count - (int)TemplateValues.ToInteger(most);
        return [string.Join(TemplateValues.ToText(separator), parts.Take(joined)), .. parts.Skip(joined)];
    }

    static object? Any(IReadOnlyList<object?> arguments, Func<string, StringComparison, bool> holds) =>
        (arguments.FirstOrDefault() is List<object?> several ? several : arguments.Take(1)).Any(part => holds(TemplateValues.ToText(part), StringComparison.Ordinal));
}
