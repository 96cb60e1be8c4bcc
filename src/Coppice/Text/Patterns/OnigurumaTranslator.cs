using System.Globalization;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.Patterns;

/// <summary>
/// A pattern in Oniguruma's Ruby syntax, which tokenizer.json is written in, as .NET's: possessive quantifiers become atomic groups, <c>^</c> and <c>$</c> are a line's, <c>\w</c>, <c>\s</c> and letters that ignore
/// case follow Unicode, brackets nest. What has no counterpart is refused by name. Recursion is bounded.
/// </summary>
sealed class OnigurumaTranslator(string pattern)
{
    const int MaxDepth = 32;
    const string Word = @"\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc}\u24B6-\u24E9";
    static readonly HashSet<string> Categories = new(StringComparer.Ordinal)
    {
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cn",
    };

    readonly StringBuilder output = new();
    int at;

    /// <summary>The characters that the pattern names, alone or in ranges.</summary>
    public CharacterSet Named { get; } = new();

    /// <summary>The pattern for .NET.</summary>
    /// <exception cref="CoppiceException">It has something that .NET's regexes, or matching by stand-ins, have not.</exception>
    public string Translate()
    {
        Alternatives(ignoreCase: false, depth: 0);
        return at == pattern.Length ? output.ToString() : throw Error("closes a group that is not open");
    }

    void Alternatives(bool ignoreCase, int depth)
    {
        if (depth > MaxDepth)
            throw Error($"nests more than {MaxDepth} deep");
        while (at < pattern.Length && pattern[at] != ')')
        {
            if (pattern[at] == '|')
            {
                output.Append('|');
                at++;
                continue;
            }
            // (?i) holds to the end of its group
            if (Take("(?i)"))
            {
                ignoreCase = true;
                continue;
            }
            int start = output.Length;
            Atom(ignoreCase, depth);
            Quantifiers(start);
        }
    }

    void Atom(bool ignoreCase, int depth)
    {
        char letter = pattern[at];
        switch (letter)
        {
            case '(':
                Group(ignoreCase, depth);
                break;
            case '[':
                at++;
                output.Append(Brackets(ignoreCase, depth));
                break;
            case '\\':
                output.Append(Escape(ignoreCase));
                break;
            case '^':
            case '$':
                output.Append("(?m:").Append(letter).Append(')');
                at++;
                break;
            case '.':
                output.Append(@"[^\n]");
                at++;
                break;
            case '*' or '+' or '?':
                throw Error("repeats nothing");
            default:
                at++;
                output.Append(Literal(letter, ignoreCase));
                break;
        }
    }

    void Group(bool ignoreCase, int depth)
    {
        if (Take("(?i:"))
            (ignoreCase, _) = (true, output.Append("(?:"));
        else if (Take("(?-i:"))
            (ignoreCase, _) = (false, output.Append("(?:"));
        else if (First("(?:", "(?>", "(?=", "(?!", "(?<=", "(?<!") is { } kind)
            output.Append(kind);
        else if (pattern.AsSpan(at).StartsWith("(?"))
            throw Error($"has the group {pattern[at..Math.Min(pattern.Length, at + 4)]}");
        else
        {
            at++;
            output.Append("(?:");
        }
        Alternatives(ignoreCase, depth + 1);
        if (at == pattern.Length)
            throw Error("leaves a group open");
        at++;
        output.Append(')');
    }

    // What stands at "start" of the output is what is repeated.
    void Quantifiers(int start)
    {
        while (at < pattern.Length)
        {
            string? count = pattern[at] is '*' or '+' or '?' ? pattern[at].ToString() : pattern[at] == '{' ? Interval() : null;
            if (count is null)
                return;
            bool isInterval = count.Length > 1;
            at += isInterval ? 0 : 1;
            output.Append(count);
            if (at < pattern.Length && pattern[at] == '?')
            {
                output.Append('?');
                at++;
            }
            else if (!isInterval && at < pattern.Length && pattern[at] == '+')
            {
                at++;
                output.Insert(start, "(?>").Append(')');
                continue;
            }
            // a further quantifier repeats all of this, also after an interval: Ruby's {1,3}+ is not possessive
            if (at < pattern.Length && pattern[at] is '*' or '+' or '{')
                output.Insert(start, "(?:").Append(')');
        }
    }

    // "{2}", "{2,}", "{2,5}" or "{,5}"; a brace that is none of these stands for itself
    string? Interval()
    {
        int close = pattern.IndexOf('}', at);
        if (close < 0)
            return null;
        string[] bounds = pattern[(at + 1)..close].Split(',');
        if (bounds.Length > 2 || bounds.All(bound => bound.Length == 0) || bounds.Any(bound => bound.Length > 5 || bound.Any(digit => !char.IsAsciiDigit(digit))))
            return null;
        at = close + 1;
        if (bounds[0].Length == 0)
            bounds[0] = "0";
        return $"{{{string.Join(',', bounds)}}}";
    }

    string Brackets(bool ignoreCase, int depth)
    {
        if (depth > MaxDepth)
            throw Error($"nests more than {MaxDepth} deep");
        bool isNegated = Take("^");
        StringBuilder members = new();
        string? removed = null;
        bool isFirst = true;
        while (true)
        {
            if (at >= pattern.Length)
                throw Error("leaves a bracket open");
            if (pattern[at] == ']' && !isFirst)
            {
                at++;
                return $"[{(isNegated ? "^" : "")}{members}{(removed is null ? "" : "-" + removed)}]";
            }
            isFirst = false;
            if (pattern.AsSpan(at).StartsWith("[:"))
                throw Error("has a POSIX bracket [:...:]");
            if (Take("&&"))
            {
                // A and not B is A without B
                if (isNegated || !Take("[^") || removed is not null)
                    throw Error("intersects with && other than [...&&[^...]]");
                at--;
                string without = Brackets(ignoreCase, depth + 1);
                removed = "[" + without[2..];
                continue;
            }
            if (pattern[at] == '[')
            {
                at++;
                string inner = Brackets(ignoreCase, depth + 1);
                if (inner.StartsWith("[^", StringComparison.Ordinal) || inner.Contains("-[", StringComparison.Ordinal))
                    throw Error("has a negated bracket within a bracket");
                members.Append(inner.AsSpan(1, inner.Length - 2));
                continue;
            }
            if (removed is not null)
                throw Error("has members after &&");
            if (ClassEscape() is { } named)
            {
                members.Append(named);
                continue;
            }
            int first = Character();
            int last = first;
            if (at + 1 < pattern.Length && pattern[at] == '-' && pattern[at + 1] is not (']' or '['))
            {
                at++;
                last = Character();
            }
            if (last < first)
                throw Error("has a range that runs backwards");
            Add(first, last, ignoreCase, members);
        }
    }

    void Add(int first, int last, bool ignoreCase, StringBuilder members)
    {
        Named.Add(first, last);
        members.Append(Code(first));
        if (last > first)
            members.Append('-').Append(Code(last));
        if (!ignoreCase)
            return;
        for (int letter = 'a'; letter <= 'z'; letter++)
            if (first <= letter && letter <= last || first <= letter - 32 && letter - 32 <= last)
                members.Append(Folds((char)letter));
    }

    string Literal(char letter, bool ignoreCase)
    {
        if (char.IsSurrogate(letter))
            throw Error("names a character beyond U+FFFF");
        Named.Add(letter, letter);
        if (!ignoreCase || !char.IsLetter(letter))
            return Code(letter);
        if (!char.IsAsciiLetter(letter))
            throw Error($"ignores the case of '{letter}', which is not ASCII");
        return $"[{Folds(char.ToLowerInvariant(letter))}]";
    }

    // Unicode's simple case folding: ſ is an s, and the Kelvin sign a k.
    string Folds(char letter)
    {
        string all = letter switch { 's' => "sSſ", 'k' => "kK\u212A", _ => $"{letter}{char.ToUpperInvariant(letter)}" };
        foreach (char same in all)
            Named.Add(same, same);
        return string.Concat(all.Select(same => Code(same)));
    }

    string Escape(bool ignoreCase)
    {
        if (ClassEscape() is { } named)
            return $"[{named}]";
        if (at + 1 < pattern.Length && pattern[at + 1] is 'A' or 'z' or 'Z')
        {
            at += 2;
            return pattern[(at - 2)..at];
        }
        return Literal((char)Character(), ignoreCase);
    }

    // \p{L}, \s, \d, \w and what is none of them, as it stands between brackets; null for any other escape
    string? ClassEscape()
    {
        if (at + 1 >= pattern.Length || pattern[at] != '\\')
            return null;
        char kind = pattern[at + 1];
        switch (kind)
        {
            case 's' or 'S' or 'd' or 'D':
                at += 2;
                return $@"\{kind}";
            case 'w':
                at += 2;
                return Word;
            case 'p' or 'P':
                break;
            default:
                return null;
        }
        int close = pattern.IndexOf('}', at);
        if (close < 0 || pattern[at + 2] != '{')
            throw Error(@"has \p without braces");
        string name = pattern[(at + 3)..close];
        bool isNegated = kind == 'P' ^ name.StartsWith('^');
        name = name.TrimStart('^');
        at = close + 1;
        if (name is "Han" or "Script=Han" && !isNegated)
            return CharacterSet.Han.InBrackets();
        if (!Categories.Contains(name))
            throw Error($@"has \p{{{name}}}");
        return $@"\{(isNegated ? 'P' : 'p')}{{{name}}}";
    }

    // one character, perhaps escaped
    int Character()
    {
        char letter = pattern[at++];
        if (char.IsSurrogate(letter))
            throw Error("names a character beyond U+FFFF");
        if (letter != '\\')
            return letter;
        if (at == pattern.Length)
            throw Error("ends in a backslash");
        letter = pattern[at++];
        switch (letter)
        {
            case 't':
                return '\t';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 'f':
                return '\f';
            case 'v':
                return '\v';
            case 'a':
                return '\a';
            case 'e':
                return 0x1B;
            case '0':
                return 0;
            case 'u':
                return Hex(4);
            case 'x' when at < pattern.Length && pattern[at] == '{':
                int close = pattern.IndexOf('}', at);
                if (close < 0)
                    throw Error(@"leaves \x{ open");
                at++;
                int point = Hex(close - at);
                at++;
                return point;
            case 'x':
                return Hex(2);
            default:
                return char.IsAsciiLetterOrDigit(letter) ? throw Error($@"has \{letter}") : letter;
        }
    }

    int Hex(int digits)
    {
        if (at + digits > pattern.Length || digits is < 1 or > 6 || !int.TryParse(pattern.AsSpan(at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int point))
            throw Error("has a code that is not hexadecimal");
        at += digits;
        return point <= 0xFFFF && !char.IsSurrogate((char)point) ? point : throw Error("names a character beyond U+FFFF");
    }

    static string Code(int point) => char.IsAsciiLetterOrDigit((char)point) ? ((char)point).ToString() : $@"\u{point:X4}";

    bool Take(string text)
    {
        if (!pattern.AsSpan(at).StartsWith(text, StringComparison.Ordinal))
            return false;
        at += text.Length;
        return true;
    }

    string? First(params ReadOnlySpan<string> texts)
    {
        foreach (string text in texts)
            if (Take(text))
                return text;
        return null;
    }

    CoppiceException Error(string message) => new($"at {at} it {message}");
}
