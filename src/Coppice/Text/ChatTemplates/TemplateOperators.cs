using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>What operators do to values, as in Python.</summary>
static class TemplateOperators
{
    public static object? Apply(string name, object? left, object? right, TemplateBudget budget) => name switch
    {
        "==" => TemplateValues.AreEqual(left, right),
        "!=" => !TemplateValues.AreEqual(left, right),
        "<" => TemplateValues.Compare(left, right) < 0,
        ">" => TemplateValues.Compare(left, right) > 0,
        "<=" => TemplateValues.Compare(left, right) <= 0,
        ">=" => TemplateValues.Compare(left, right) >= 0,
        "in" => Contains(right, left),
        "~" => budget.Text(TemplateValues.ToText(left) + TemplateValues.ToText(right)),
        "+" when left is string a && right is string b => budget.Text(a + b),
        "+" when left is List<object?> a && right is List<object?> b => Joined(a, b, budget),
        "*" when left is string text && right is long => Repeated(text, (long)right, budget),
        "*" when left is long && right is string text => Repeated(text, (long)left, budget),
        _ => Arithmetic(name, left, right),
    };

    /// <summary>Whether a text holds a text, a list an item, or a dictionary a key.</summary>
    public static bool Contains(object? container, object? item) => container switch
    {
        string text => item is string part ? text.Contains(part, StringComparison.Ordinal) : throw new CoppiceException($"{TemplateValues.TypeOf(item)} cannot be in a text"),
        List<object?> list => list.Any(member => TemplateValues.AreEqual(member, item)),
        TemplateMap map => item is string key && map.ContainsKey(key),
        Undefined => false,
        _ => throw new CoppiceException($"{TemplateValues.TypeOf(container)} has no items"),
    };

    static List<object?> Joined(List<object?> left, List<object?> right, TemplateBudget budget)
    {
        budget.Step(left.Count + right.Count);
        return [.. left, .. right];
    }

    static string Repeated(string text, long count, TemplateBudget budget)
    {
        if (count <= 0)
            return "";
        if (text.Length > 0 && count > TemplateBudget.MaxText / text.Length)
            throw new CoppiceException($"it makes a text of more than {TemplateBudget.MaxText:N0} characters");
        return budget.Text(string.Concat(Enumerable.Repeat(text, text.Length == 0 ? 0 : (int)count)));
    }

    static object? Arithmetic(string name, object? left, object? right)
    {
        if (!TemplateValues.IsNumber(left) || !TemplateValues.IsNumber(right))
            throw new CoppiceException($"'{name}' is not for {TemplateValues.TypeOf(left)} and {TemplateValues.TypeOf(right)}");
        bool areWhole = left is not double && right is not double;
        try
        {
            if (areWhole && name != "/")
            {
                (long a, long b) = (TemplateValues.ToInteger(left), TemplateValues.ToInteger(right));
                if (name is "//" or "%" && b == 0)
                    throw new CoppiceException("a division by 0");
                switch (name)
                {
                    case "+":
                        return checked(a + b);
                    case "-":
                        return checked(a - b);
                    case "*":
                        return checked(a * b);
                    case "//":
                        return checked(a / b) - (a % b != 0 && a < 0 != b < 0 ? 1 : 0);
                    case "%":
                        return b == -1 ? 0 : (a % b + b) % b;
                    case "**" when b >= 0:
                        double power = Math.Pow(a, b);
                        return Math.Abs(power) < 1L << 53 ? (long)power : throw new OverflowException();
                }
            }
        }
        catch (OverflowException error)
        {
            throw new CoppiceException("a whole number is too large", error);
        }
        (double x, double y) = (TemplateValues.ToDouble(left), TemplateValues.ToDouble(right));
        if (name is "/" or "//" or "%" && y == 0)
            throw new CoppiceException("a division by 0");
        return name switch
        {
            "+" => x + y,
            "-" => x - y,
            "*" => x * y,
            "/" => x / y,
            "//" => Math.Floor(x / y),
            "%" => x - y * Math.Floor(x / y),
            "**" => Math.Pow(x, y),
            _ => throw new CoppiceException($"the operator '{name}' is not known"),
        };
    }
}
