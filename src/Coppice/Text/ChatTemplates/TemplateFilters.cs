using System.Globalization;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>Jinja's filters and tests that chat templates use.</summary>
static class TemplateFilters
{
    /// <summary>Applies a filter to a value.</summary>
    public static object? Apply(string name, object? value, IReadOnlyList<object?> arguments, IReadOnlyDictionary<string, object?> named, TemplateBudget budget)
    {
        switch (name)
        {
            case "trim":
                return TemplateMethods.Strip(TemplateValues.ToText(value), Argument(0, "chars", null), left: true, right: true);
            case "tojson":
                return TemplateJson.Write(value, Argument(0, "indent", null) is long indent ? (int)Math.Clamp(indent, 0, 16) : null, TemplateValues.IsTrue(Argument(99, "sort_keys", false)));
            case "join":
                object? attribute = Argument(1, "attribute", null);
                return budget.Text(string.Join(TemplateValues.ToText(Argument(0, "d", "")), TemplateValues.Items(value).Select(item => TemplateValues.ToText(attribute is null ? item : TemplateMethods.Member(item, attribute)))));
            case "length" or "count":
                return value is string text ? text.EnumerateRunes().LongCount() : TemplateValues.Items(value).LongCount();
            case "upper":
                return TemplateValues.ToText(value).ToUpperInvariant();
            case "lower":
                return TemplateValues.ToText(value).ToLowerInvariant();
            case "title":
                return TemplateMethods.Title(TemplateValues.ToText(value));
            case "capitalize":
                return TemplateMethods.Capitalize(TemplateValues.ToText(value));
            case "default" or "d":
                return value is Undefined || TemplateValues.IsTrue(Argument(1, "boolean", false)) && !TemplateValues.IsTrue(value) ? Argument(0, "default_value", "") : value;
            case "replace":
                return budget.Text(TemplateMethods.Replace(TemplateValues.ToText(value), TemplateValues.ToText(Argument(0, "old", "")), TemplateValues.ToText(Argument(1, "new", "")), Argument(2, "count", null)));
            case "list":
                return TemplateValues.Items(value).ToList();
            case "items":
                return value is Undefined ? new List<object?>() : TemplateMethods.Pairs(value as TemplateMap ?? throw new CoppiceException($"{TemplateValues.TypeOf(value)} has no pairs"));
            case "dictsort":
                return TemplateMethods.Pairs(TemplateValues.ToMap((value as TemplateMap ?? throw new CoppiceException($"{TemplateValues.TypeOf(value)} has no pairs")).OrderBy(entry => entry.Key.ToLowerInvariant(), StringComparer.Ordinal).Select(entry => (entry.Key, entry.Value))));
            case "first":
                return TemplateValues.Items(value).FirstOrDefault(new Undefined("first"));
            case "last":
                return TemplateValues.Items(value).LastOrDefault(new Undefined("last"));
            case "reverse":
                return value is string forward ? string.Concat(forward.EnumerateRunes().Reverse()) : TemplateValues.Items(value).Reverse().ToList();
            case "unique":
                List<object?> unique = [];
                foreach (object? item in TemplateValues.Items(value))
                {
                    budget.Step(unique.Count);
                    if (!unique.Any(seen => TemplateValues.AreEqual(seen, item)))
                        unique.Add(item);
                }
                return unique;
            case "sort":
                object? by = Argument(2, "attribute", null);
                IOrderedEnumerable<object?> sorted = TemplateValues.Items(value).OrderBy(item => by is null ? item : TemplateMethods.Member(item, by), Comparer<object?>.Create(TemplateValues.Compare));
                return TemplateValues.IsTrue(Argument(0, "reverse", false)) ? sorted.Reverse().ToList() : sorted.ToList();
            case "sum":
                return TemplateValues.Items(value).Aggregate((object?)0L, (sum, item) => TemplateOperators.Apply("+", sum, item, budget));
            case "min":
                return TemplateValues.Items(value).Order(Comparer<object?>.Create(TemplateValues.Compare)).FirstOrDefault(new Undefined("min"));
            case "max":
                return TemplateValues.Items(value).Order(Comparer<object?>.Create(TemplateValues.Compare)).LastOrDefault(new Undefined("max"));
            case "string":
                return TemplateValues.ToText(value);
            case "safe":
                return value;
            case "escape" or "e":
                return TemplateValues.ToText(value).Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal).Replace("'", "&#39;", StringComparison.Ordinal);
            case "int":
                return ToInteger(value, Argument(0, "default", 0L));
            case "float":
                return TemplateValues.IsNumber(value) ? TemplateValues.ToDouble(value) : double.TryParse(value as string, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) ? number : Argument(0, "default", 0.0);
            case "abs":
                return value is long whole ? (object)(whole == long.MinValue ? throw new CoppiceException("a whole number is too large") : Math.Abs(whole)) : Math.Abs(TemplateValues.ToDouble(value));
            case "round":
                return Math.Round(TemplateValues.ToDouble(value), (int)Math.Clamp(TemplateValues.ToInteger(Argument(0, "precision", 0L)), 0, 15));
            case "indent":
                return budget.Text(Indent(TemplateValues.ToText(value), Argument(0, "width", 4L), TemplateValues.IsTrue(Argument(1, "first", false)), TemplateValues.IsTrue(Argument(2, "blank", false))));
            case "map":
                return Map(value, arguments, named, budget);
            case "select" or "reject":
                return TemplateValues.Items(value).Where(item => Holds(item, arguments, 0, budget) == (name == "select")).ToList();
            case "selectattr" or "rejectattr":
                return TemplateValues.Items(value).Where(item => Holds(TemplateMethods.Member(item, arguments.Count > 0 ? arguments[0] : ""), arguments, 1, budget) == (name == "selectattr")).ToList();
            default:
                throw new CoppiceException($"the filter '{name}' is not known");
        }

        object? Argument(int place, string key, object? absent) => place < arguments.Count ? arguments[place] : named.TryGetValue(key, out object? given) ? given : absent;
    }

    /// <summary>Whether a test holds.</summary>
    public static bool Holds(string name, object? value, IReadOnlyList<object?> arguments)
    {
        return name switch
        {
            "defined" => value is not Undefined,
            "undefined" => value is Undefined,
            "none" => value is null,
            "string" => value is string,
            "mapping" => value is TemplateMap,
            "iterable" => value is string or List<object?> or TemplateMap or Undefined,
            "sequence" => value is string or List<object?> or TemplateMap,
            "number" => value is long or double or bool,
            "integer" => value is long,
            "float" => value is double,
            "boolean" => value is bool,
            "true" => value is true,
            "false" => value is false,
            "callable" => value is TemplateFunction,
            "odd" => TemplateValues.ToInteger(value) % 2 != 0,
            "even" => TemplateValues.ToInteger(value) % 2 == 0,
            "divisibleby" => TemplateValues.ToInteger(value) % Divisor() == 0,
            "lower" => value is string text && text == text.ToLowerInvariant(),
            "upper" => value is string text && text == text.ToUpperInvariant(),
            "equalto" or "eq" or "==" or "sameas" => TemplateValues.AreEqual(value, Argument()),
            "ne" or "!=" => !TemplateValues.AreEqual(value, Argument()),
            "lt" or "lessthan" or "<" => TemplateValues.Compare(value, Argument()) < 0,
            "le" or "<=" => TemplateValues.Compare(value, Argument()) <= 0,
            "gt" or "greaterthan" or ">" => TemplateValues.Compare(value, Argument()) > 0,
            "ge" or ">=" => TemplateValues.Compare(value, Argument()) >= 0,
            "in" => TemplateOperators.Contains(Argument(), value),
            _ => throw new CoppiceException($"the test '{name}' is not known"),
        };

        object? Argument() => arguments.Count > 0 ? arguments[0] : throw new CoppiceException($"the test '{name}' wants a value");

        long Divisor() => TemplateValues.ToInteger(Argument()) is long divisor and not 0 ? divisor : throw new CoppiceException("nothing is divisible by 0");
    }

    // a test by its name, or whether the value is true
    static bool Holds(object? item, IReadOnlyList<object?> arguments, int first, TemplateBudget budget)
    {
        budget.Step(1);
        return arguments.Count <= first ? TemplateValues.IsTrue(item)
            : Holds(arguments[first] as string ?? throw new CoppiceException("a test is named by a text"), item, [.. arguments.Skip(first + 1)]);
    }

    static List<object?> Map(object? value, IReadOnlyList<object?> arguments, IReadOnlyDictionary<string, object?> named, TemplateBudget budget)
    {
        if (named.TryGetValue("attribute", out object? attribute))
            return [.. TemplateValues.Items(value).Select(item => TemplateMethods.Member(item, attribute) is Undefined && named.TryGetValue("default", out object? otherwise) ? otherwise : TemplateMethods.Member(item, attribute))];
        string filter = arguments.Count > 0 && arguments[0] is string name ? name : throw new CoppiceException("map wants a filter's name or attribute=");
        return [.. TemplateValues.Items(value).Select(item =>
        {
            budget.Step(1);
            return Apply(filter, item, [.. arguments.Skip(1)], named, budget);
        })];
    }

    static object? ToInteger(object? value, object? absent) => value switch
    {
        long or bool => TemplateValues.ToInteger(value),
        double number when Math.Abs(number) < 9e18 => (long)number,
        string text when long.TryParse(text.Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) => number,
        string text when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && Math.Abs(number) < 9e18 => (long)number,
        _ => absent,
    };

    static string Indent(string text, object? width, bool first, bool blank)
    {
        string pad = width is string given ? given : new string(' ', (int)Math.Clamp(TemplateValues.ToInteger(width), 0, 1000));
        StringBuilder builder = new();
        foreach ((int index, string line) in text.Split('\n').Index())
        {
            if (index > 0)
                builder.Append('\n');
            if (index == 0 ? first : blank || line.Length > 0)
                builder.Append(pad);
            builder.Append(line);
        }
        return builder.ToString();
    }
}
