using System.Globalization;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>The filter tojson, as Transformers defines it: Python's <c>json.dumps</c> without escaping what is not ASCII.</summary>
static class TemplateJson
{
    const int MaxDepth = 100;

    /// <param name="value">What to write.</param>
    /// <param name="indent">Blanks a level, each item on a line of its own; null for one line.</param>
    /// <param name="sorts">Whether keys are sorted.</param>
    public static string Write(object? value, int? indent = null, bool sorts = false)
    {
        StringBuilder text = new();
        Write(value, text, indent, sorts, 0);
        return text.ToString();
    }

    static void Write(object? value, StringBuilder text, int? indent, bool sorts, int depth)
    {
        if (depth > MaxDepth)
            throw new CoppiceException($"a value nests more than {MaxDepth} deep");
        switch (value)
        {
            case null:
                text.Append("null");
                break;
            case bool flag:
                text.Append(flag ? "true" : "false");
                break;
            case long number:
                text.Append(number.ToString(CultureInfo.InvariantCulture));
                break;
            case double number:
                text.Append(TemplateValues.Float(number));
                break;
            case string quoted:
                Quote(quoted, text);
                break;
            case List<object?> list:
                Enclose('[', ']', list, item => Write(item, text, indent, sorts, depth + 1), text, indent, depth);
                break;
            case TemplateMap map:
                Enclose<KeyValuePair<string, object?>>('{', '}', sorts ? [.. map.OrderBy(entry => entry.Key, StringComparer.Ordinal)] : [.. map], entry =>
                {
                    Quote(entry.Key, text);
                    text.Append(": ");
                    Write(entry.Value, text, indent, sorts, depth + 1);
                }, text, indent, depth);
                break;
            default:
                throw new CoppiceException($"{TemplateValues.TypeOf(value)} cannot be written as JSON");
        }
    }

    static void Enclose<T>(char open, char close, IReadOnlyList<T> items, Action<T> write, StringBuilder text, int? indent, int depth)
    {
        text.Append(open);
        for (int i = 0; i < items.Count; i++)
        {
            text.Append(i == 0 ? "" : indent is null ? ", " : ",");
            if (indent is { } blanks)
                text.Append('\n').Append(' ', blanks * (depth + 1));
            write(items[i]);
        }
        if (indent is { } width && items.Count > 0)
            text.Append('\n').Append(' ', width * depth);
        text.Append(close);
    }

    static void Quote(string value, StringBuilder text)
    {
        text.Append('"');
        foreach (char letter in value)
            _ = letter switch
            {
                '"' => text.Append("\\\""),
                '\\' => text.Append("\\\\"),
                '\n' => text.Append("\\n"),
                '\r' => text.Append("\\r"),
                '\t' => text.Append("\\t"),
                '\b' => text.Append("\\b"),
                '\f' => text.Append("\\f"),
                < ' ' => text.Append(CultureInfo.InvariantCulture, $"\\u{(int)letter:x4}"),
                _ => text.Append(letter),
            };
        text.Append('"');
    }
}
