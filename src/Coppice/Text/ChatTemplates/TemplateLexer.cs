using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.ChatTemplates;

/// <summary>What a piece of a template is.</summary>
enum TemplateTokenKind
{
    Text,
    OpenOutput,
    CloseOutput,
    OpenStatement,
    CloseStatement,
    Name,
    String,
    Integer,
    Float,
    Symbol,
    End,
}

/// <summary>A piece of a template, and the line that it stands on.</summary>
readonly record struct TemplateToken(TemplateTokenKind Kind, string Value, int Line);

/// <summary>Cuts a Jinja template into pieces, white space trimmed as Transformers asks Jinja to: trim_blocks and lstrip_blocks.</summary>
sealed class TemplateLexer
{
    enum Trim
    {
        Line,
        None,
        All,
    }

    static readonly string[] Symbols = ["**", "//", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ",", ":", ".", "|", "=", "<", ">", "+", "-", "*", "/", "%", "~"];

    readonly string source;
    readonly List<TemplateToken> tokens = [];
    int at, line = 1;

    public TemplateLexer(string template)
    {
        string lines = template.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        // Jinja drops one line feed at the end of a template
        source = lines.EndsWith('\n') ? lines[..^1] : lines;
    }

    /// <summary>All pieces, the last of which is the end.</summary>
    public List<TemplateToken> Read()
    {
        StringBuilder text = new();
        Trim trim = Trim.None;
        while (at < source.Length)
        {
            if (trim == Trim.Line && source[at] == '\n')
                Advance(at + 1);
            bool isLineStart = at == 0 || at <= source.Length && source[at - 1] == '\n';
            int open = NextOpening();
            string before = source[at..open];
            if (trim == Trim.All)
                before = before.TrimStart();
            Advance(open);
            if (at == source.Length)
            {
                text.Append(before);
                break;
            }
            char kind = source[at + 1], sign = at + 2 < source.Length ? source[at + 2] : ' ';
            if (sign == '-')
                before = before.TrimEnd();
            else if (kind != '{' && sign != '+')
                // lstrip_blocks: a block that begins a line takes the blanks before it
                before = WithoutIndent(before, isLineStart);
            text.Append(before);
            if (kind == '#')
            {
                int end = source.IndexOf("#}", at + 2, StringComparison.Ordinal);
                if (end < 0)
                    throw Error("a comment is not closed");
                trim = source[end - 1] switch { '-' => Trim.All, '+' => Trim.None, _ => Trim.Line };
                Advance(end + 2);
                continue;
            }
            Flush(text);
            tokens.Add(new TemplateToken(kind == '{' ? TemplateTokenKind.OpenOutput : TemplateTokenKind.OpenStatement, "", line));
            Advance(at + (sign is '-' or '+' ? 3 : 2));
            trim = Expression(kind == '{' ? "}}" : "%}");
            tokens.Add(new TemplateToken(kind == '{' ? TemplateTokenKind.CloseOutput : TemplateTokenKind.CloseStatement, "", line));
        }
        Flush(text);
        tokens.Add(new TemplateToken(TemplateTokenKind.End, "", line));
        return tokens;
    }

    void Flush(StringBuilder text)
    {
        if (text.Length > 0)
            tokens.Add(new TemplateToken(TemplateTokenKind.Text, text.ToString(), line));
        text.Clear();
    }

    int NextOpening()
    {
        for (int i = at; i + 1 < source.Length; i++)
            if (source[i] == '{' && source[i + 1] is '{' or '%' or '#')
                return i;
        return source.Length;
    }

    static string WithoutIndent(string before, bool isLineStart)
    {
        int start = before.Length;
        while (start > 0 && before[start - 1] is ' ' or '\t')
            start--;
        return start == 0 && isLineStart || start > 0 && before[start - 1] == '\n' ? before[..start] : before;
    }

    // Pieces up to the closing mark, and what the mark trims behind it: trim_blocks takes the line feed that follows a statement.
    Trim Expression(string close)
    {
        while (true)
        {
            while (at < source.Length && char.IsWhiteSpace(source[at]))
                Advance(at + 1);
            if (at >= source.Length)
                throw Error($"'{close}' is missing");
            ReadOnlySpan<char> rest = source.AsSpan(at);
            if (rest[0] is '-' or '+' && rest[1..].StartsWith(close, StringComparison.Ordinal))
            {
                Advance(at + 3);
                return rest[0] == '-' ? Trim.All : Trim.None;
            }
            if (rest.StartsWith(close, StringComparison.Ordinal) && !(close == "}}" && Depth() > 0))
            {
                Advance(at + 2);
                return close == "%}" ? Trim.Line : Trim.None;
            }
            if (rest[0] is '\'' or '"')
                Quoted();
            else if (char.IsAsciiDigit(rest[0]))
                Number();
            else if (char.IsLetter(rest[0]) || rest[0] == '_')
            {
                int end = at;
                while (end < source.Length && (char.IsLetterOrDigit(source[end]) || source[end] == '_'))
                    end++;
                Add(TemplateTokenKind.Name, source[at..end], end);
            }
            else
            {
                string? symbol = null;
                foreach (string candidate in Symbols)
                    if (symbol is null && rest.StartsWith(candidate, StringComparison.Ordinal))
                        symbol = candidate;
                Add(TemplateTokenKind.Symbol, symbol ?? throw Error($"'{rest[0]}' is no part of an expression"), at + symbol.Length);
            }
        }
    }

    // how many braces of dictionaries are open in this expression
    int Depth()
    {
        int depth = 0;
        for (int i = tokens.Count - 1; i >= 0 && tokens[i].Kind is not (TemplateTokenKind.OpenOutput or TemplateTokenKind.OpenStatement); i--)
            if (tokens[i] is { Kind: TemplateTokenKind.Symbol, Value: "{" or "}" } brace)
                depth += brace.Value == "{" ? 1 : -1;
        return depth;
    }

    void Number()
    {
        int end = at;
        while (end < source.Length && (char.IsAsciiDigit(source[end]) || source[end] == '_'))
            end++;
        bool isFloat = end + 1 < source.Length && source[end] == '.' && char.IsAsciiDigit(source[end + 1]);
        if (isFloat)
            for (end++; end < source.Length && char.IsAsciiDigit(source[end]);)
                end++;
        int exponent = end + 1 < source.Length && source[end] is 'e' or 'E' ? end + (source[end + 1] is '+' or '-' ? 2 : 1) : end;
        if (exponent > end && exponent < source.Length && char.IsAsciiDigit(source[exponent]))
            for (isFloat = true, end = exponent; end < source.Length && char.IsAsciiDigit(source[end]);)
                end++;
        Add(isFloat ? TemplateTokenKind.Float : TemplateTokenKind.Integer, source[at..end].Replace("_", "", StringComparison.Ordinal), end);
    }

    void Quoted()
    {
        StringBuilder text = new();
        char quote = source[at];
        int i = at + 1;
        for (; i < source.Length && source[i] != quote; i++)
            if (source[i] != '\\' || i + 1 == source.Length)
                text.Append(source[i]);
            else
                text.Append(Escaped(ref i));
        if (i == source.Length)
            throw Error("a text is not closed");
        Add(TemplateTokenKind.String, text.ToString(), i + 1);
    }

    // as Python: an escape that is not known stays as it is
    string Escaped(ref int i)
    {
        char letter = source[++i];
        int digits = letter switch { 'x' => 2, 'u' => 4, 'U' => 8, _ => 0 };
        if (digits > 0 && i + digits < source.Length && int.TryParse(source.AsSpan(i + 1, digits), System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture, out int point) && Rune.IsValid(point))
        {
            i += digits;
            return new Rune(point).ToString();
        }
        return letter switch
        {
            'n' => "\n",
            't' => "\t",
            'r' => "\r",
            '0' => "\0",
            'b' => "\b",
            'f' => "\f",
            'v' => "\v",
            'a' => "\a",
            '\n' => "",
            '\\' or '\'' or '"' => letter.ToString(),
            _ => "\\" + letter,
        };
    }

    void Add(TemplateTokenKind kind, string value, int end)
    {
        tokens.Add(new TemplateToken(kind, value, line));
        Advance(end);
    }

    void Advance(int to)
    {
        for (; at < to; at++)
            if (source[at] == '\n')
                line++;
    }

    CoppiceException Error(string message) => new($"The chat template is damaged at line {line}: {message}");
}
