using System.Text;

namespace Coppice.Text.Patterns;

/// <summary>What a text is cut or replaced at.</summary>
abstract record Pattern
{
    /// <summary>Appends the matches in a text, in order and apart from one another.</summary>
    public abstract void Find(ReadOnlySpan<char> text, List<Range> matches);

    /// <summary>Reads <c>{"String": ...}</c> or <c>{"Regex": ...}</c>.</summary>
    public static Pattern Read(JsonPart part)
    {
        part.Only("String", "Regex");
        return part.Find("Regex") is { } regex ? RegexPattern.From(regex) : new LiteralPattern(part.Text("String"));
    }
}

/// <summary>A text as it stands.</summary>
sealed record LiteralPattern(string Text) : Pattern
{
    public override void Find(ReadOnlySpan<char> text, List<Range> matches)
    {
        if (Text.Length == 0)
            return;
        for (int at = 0; text[at..].IndexOf(Text, StringComparison.Ordinal) is int found and >= 0;)
        {
            matches.Add((at + found)..(at + found + Text.Length));
            at += found + Text.Length;
        }
    }
}

/// <summary>Each character of a class; <paramref name="Name"/> says which.</summary>
sealed record CharacterPattern(string Name, Func<Rune, bool> IsMatch) : Pattern
{
    public override void Find(ReadOnlySpan<char> text, List<Range> matches)
    {
        for (int at = 0; at < text.Length;)
        {
            Rune.DecodeFromUtf16(text[at..], out Rune rune, out int length);
            if (IsMatch(rune))
                matches.Add(at..(at + length));
            at += length;
        }
    }

    public bool Equals(CharacterPattern? other) => other?.Name == Name;

    public override int GetHashCode() => Name.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Name;
}

/// <summary>Runs of word characters, and runs of what is neither that nor white space: <c>\w+|[^\w\s]+</c> by Unicode's classes.</summary>
sealed record WordPattern : Pattern
{
    public override void Find(ReadOnlySpan<char> text, List<Range> matches)
    {
        int start = 0, current = 0;
        for (int at = 0; at < text.Length;)
        {
            Rune.DecodeFromUtf16(text[at..], out Rune rune, out int length);
            int kind = Rune.IsWhiteSpace(rune) ? 0 : CharacterClasses.IsWord(rune) ? 1 : 2;
            if (kind != current)
            {
                if (current != 0)
                    matches.Add(start..at);
                (start, current) = (at, kind);
            }
            at += length;
        }
        if (current != 0)
            matches.Add(start..text.Length);
    }
}

/// <summary>The words of <see cref="Gpt2Pattern"/>, which follow one another without a gap.</summary>
sealed record Gpt2Words : Pattern
{
    public override void Find(ReadOnlySpan<char> text, List<Range> matches)
    {
        for (int at = 0, length; at < text.Length; at += length)
        {
            length = Gpt2Pattern.NextLength(text[at..]);
            matches.Add(at..(at + length));
        }
    }
}
