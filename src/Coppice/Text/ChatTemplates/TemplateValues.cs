using System.Collections;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>What has no value: it prints nothing, is false, and has no members.</summary>
sealed class Undefined(string name)
{
    public string Name => name;
}

/// <summary>A dictionary in the order of its making; a namespace's members may be set.</summary>
sealed class TemplateMap : OrderedDictionary<string, object?>
{
    public TemplateMap() : base(StringComparer.Ordinal)
    {
    }

    /// <summary>Whether a template may set its members.</summary>
    public bool IsNamespace { get; init; }
}

/// <summary>What a template may call.</summary>
delegate object? TemplateFunction(IReadOnlyList<object?> arguments, IReadOnlyDictionary<string, object?> named);

/// <summary>Values as Python, which Jinja's templates are written for, sees them: null, bool, long, double, string, lists, maps.</summary>
static class TemplateValues
{
    public static bool IsTrue(object? value) => value switch
    {
        null or Undefined => false,
        bool flag => flag,
        long number => number != 0,
        double number => number != 0,
        string text => text.Length > 0,
        ICollection collection => collection.Count > 0,
        _ => true,
    };

    public static bool AreEqual(object? left, object? right) => (left, right) switch
    {
        (null, null) => true,
        (Undefined, Undefined) => true,
        (string a, string b) => a == b,
        (List<object?> a, List<object?> b) => a.Count == b.Count && a.Zip(b).All(pair => AreEqual(pair.First, pair.Second)),
        (TemplateMap a, TemplateMap b) => a.Count == b.Count && a.All(entry => b.TryGetValue(entry.Key, out object? other) && AreEqual(entry.Value, other)),
        _ => IsNumber(left) && IsNumber(right) ? ToDouble(left) == ToDouble(right) : ReferenceEquals(left, right),
    };

    public static int Compare(object? left, object? right) => (left, right) switch
    {
        (string a, string b) => string.CompareOrdinal(a, b),
        _ when IsNumber(left) && IsNumber(right) => ToDouble(left).CompareTo(ToDouble(right)),
        _ => throw new CoppiceException($"{TypeOf(left)} and {TypeOf(right)} cannot be compared"),
    };

    public static bool IsNumber(object? value) => value is bool or long or double;

    public static double ToDouble(object? value) => value switch { bool flag => flag ? 1 : 0, long number => number, double number => number, _ => throw new CoppiceException($"{TypeOf(value)} is no number") };

    public static long ToInteger(object? value) => value switch
    {
        bool flag => flag ? 1 : 0,
        long number => number,
        _ => throw new CoppiceException($"{TypeOf(value)} is no whole number"),
    };

    public static string ToText(object? value) => value switch
    {
        string text => text,
        Undefined => "",
        _ => Represent(value),
    };

    public static string TypeOf(object? value) => value switch
    {
        null => "None",
        Undefined undefined => $"'{undefined.Name}', which is undefined,",
        bool => "a truth value",
        long or double => "a number",
        string => "a text",
        List<object?> => "a list",
        TemplateMap => "a dictionary",
        _ => "a function",
    };

    /// <summary>The items of what can be walked through: a list, a dictionary's keys, a text's characters; nothing of what is undefined.</summary>
    public static IEnumerable<object?> Items(object? value) => value switch
    {
        List<object?> list => list,
        TemplateMap map => map.Keys,
        string text => text.EnumerateRunes().Select(rune => (object?)rune.ToString()),
        Undefined => [],
        _ => throw new CoppiceException($"{TypeOf(value)} has no items"),
    };

    /// <summary>A value of JSON.</summary>
    public static object? FromJson(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.String => json.GetString(),
        JsonValueKind.Number => json.TryGetInt64(out long number) ? (object)number : json.GetDouble(),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Array => json.EnumerateArray().Select(FromJson).ToList(),
        JsonValueKind.Object => ToMap(json.EnumerateObject().Select(field => (field.Name, FromJson(field.Value)))),
        _ => null,
    };

    public static TemplateMap ToMap(IEnumerable<(string, object?)> entries)
    {
        TemplateMap map = [];
        foreach ((string key, object? value) in entries)
            map[key] = value;
        return map;
    }

    // Python's repr
    static string Represent(object? value) => value switch
    {
        null => "None",
        bool flag => flag ? "True" : "False",
        long number => number.ToString(CultureInfo.InvariantCulture),
        double number => Float(number),
        string text => Quoted(text),
        List<object?> list => $"[{string.Join(", ", list.Select(Represent))}]",
        TemplateMap map => $"{{{string.Join(", ", map.Select(entry => $"{Quoted(entry.Key)}: {Represent(entry.Value)}"))}}}",
        _ => throw new CoppiceException($"{TypeOf(value)} cannot be written"),
    };

    static string Quoted(string text)
    {
        char quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        StringBuilder builder = new();
        builder.Append(quote);
        foreach (char letter in text)
            _ = letter switch
            {
                '\n' => builder.Append("\\n"),
                '\r' => builder.Append("\\r"),
                '\t' => builder.Append("\\t"),
                '\\' => builder.Append("\\\\"),
                _ when letter == quote => builder.Append('\\').Append(letter),
                _ when letter < ' ' || letter == 0x7F => builder.Append(CultureInfo.InvariantCulture, $"\\x{(int)letter:x2}"),
                _ => builder.Append(letter),
            };
        return builder.Append(quote).ToString();
    }

    /// <summary>A float as Python writes it.</summary>
    public static string Float(double number)
    {
        string text = number.ToString("R", CultureInfo.InvariantCulture);
        return text.Contains('E') ? text.Replace("E", "e", StringComparison.Ordinal) : text.All(letter => char.IsAsciiDigit(letter) || letter == '-') ? text + ".0" : text;
    }
}
