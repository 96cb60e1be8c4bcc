using System.Buffers;
using System.Text;
using System.Text.RegularExpressions;
using Coppice.Tensors;

namespace Coppice.Text.Patterns;

/// <summary>
/// A regex as Oniguruma reads it, over characters rather than UTF-16: while .NET matches, a character beyond U+FFFF is a stand-in of its class, so that it is one. A match that takes seconds is refused:
/// patterns come from files that are not trusted.
/// </summary>
sealed record RegexPattern : Pattern
{
    const int MaxLength = 20_000;
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    readonly Lazy<Regex> regex;
    readonly StandIns standIns;

    RegexPattern(string pattern)
    {
        Text = pattern;
        OnigurumaTranslator translator = new(pattern);
        string translated = translator.Translate();
        standIns = new StandIns(translator.Named);
        regex = new(() => new Regex(translated, RegexOptions.Compiled | RegexOptions.CultureInvariant, Patience));
    }

    /// <summary>As the file has it.</summary>
    public string Text { get; }

    /// <summary>Reads a pattern.</summary>
    public static Pattern From(JsonPart part)
    {
        string text = part.Text();
        if (text.Length > MaxLength)
            throw part.Error($"has {text.Length:N0} characters, wanted a pattern of at most {MaxLength:N0}");
        if (text == Gpt2Pattern.Text)
            return new Gpt2Words();
        try
        {
            RegexPattern pattern = new(text);
            // parsed without being compiled, so that what .NET refuses is refused when the file is read
            _ = new Regex(new OnigurumaTranslator(text).Translate(), RegexOptions.CultureInvariant, Patience);
            return pattern;
        }
        catch (Exception error) when (error is CoppiceException or ArgumentException)
        {
            throw part.Error($"is a pattern that cannot be used: {error.Message}");
        }
    }

    public bool Equals(RegexPattern? other) => other?.Text == Text;

    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => $"Regex {Text}";

    public override void Find(ReadOnlySpan<char> text, List<Range> matches)
    {
        try
        {
            int astral = text.IndexOfAnyInRange('\uD800', '\uDFFF');
            if (astral < 0)
            {
                foreach (ValueMatch match in regex.Value.EnumerateMatches(text))
                    matches.Add(match.Index..(match.Index + match.Length));
                return;
            }
            char[] shown = ArrayPool<char>.Shared.Rent(text.Length);
            int count = 0;
            for (int at = 0; at < text.Length;)
            {
                Rune.DecodeFromUtf16(text[at..], out Rune rune, out int length);
                shown[count++] = rune.IsBmp ? (char)rune.Value : standIns.Of(rune);
                at += length;
            }
            int character = 0, place = 0;
            foreach (ValueMatch match in regex.Value.EnumerateMatches(shown.AsSpan(0, count)))
            {
                int start = Advance(text, ref character, ref place, match.Index);
                matches.Add(start..Advance(text, ref character, ref place, match.Index + match.Length));
            }
            ArrayPool<char>.Shared.Return(shown);
        }
        catch (RegexMatchTimeoutException error)
        {
            throw new CoppiceException($"The tokenizer's pattern took more than {Patience.TotalSeconds:0} s on one match of a text of {text.Length:N0} characters: {Text[..Math.Min(Text.Length, 80)]}", error);
        }
    }

    // the place in UTF-16 of a character, going on from an earlier one
    static int Advance(ReadOnlySpan<char> text, ref int character, ref int place, int wanted)
    {
        for (; character < wanted; character++)
            place += char.IsHighSurrogate(text[place]) ? 2 : 1;
        return place;
    }
}
