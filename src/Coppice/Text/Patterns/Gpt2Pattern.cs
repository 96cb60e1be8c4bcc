using System.Buffers;
using System.Globalization;
using System.Text;

namespace Coppice.Text.Patterns;

/// <summary>
/// GPT-2's pre-tokenizer: the matches of <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>
/// over Unicode scalar values, as Hugging Face and llama.cpp read it. .NET's own regex differs: it sees an astral letter as two surrogates.
/// </summary>
static class Gpt2Pattern
{
    /// <summary>The regex.</summary>
    public const string Text = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    enum Kind
    {
        Space,
        Letter,
        Number,
        Other,
    }

    /// <summary>Length in chars, at least 1, of the word at the start of a text that is not empty.</summary>
    public static int NextLength(ReadOnlySpan<char> text)
    {
        if (text[0] == '\'' && Contraction(text[1..]) is int letters and > 0)
            return 1 + letters;
        int start = text[0] == ' ' && text.Length > 1 ? 1 : 0;
        Kind kind = KindAt(text[start..], out int length);
        if (kind == Kind.Space)
            return Spaces(text);
        int end = start + length;
        while (end < text.Length && KindAt(text[end..], out length) == kind)
            end += length;
        return end;
    }

    static int Contraction(ReadOnlySpan<char> rest) => rest switch
    {
        ['s' or 't' or 'm' or 'd', ..] => 1,
        ['r' or 'v', 'e', ..] or ['l', 'l', ..] => 2,
        _ => 0,
    };

    // A run of white space leaves its last character to the word that follows, unless that is all it has. White space is never astral.
    static int Spaces(ReadOnlySpan<char> text)
    {
        int end = 1;
        while (end < text.Length && char.IsWhiteSpace(text[end]))
            end++;
        return end == text.Length || end == 1 ? end : end - 1;
    }

    static Kind KindAt(ReadOnlySpan<char> text, out int length)
    {
        length = 1;
        char first = text[0];
        if (char.IsAscii(first))
            return char.IsAsciiLetter(first) ? Kind.Letter : char.IsWhiteSpace(first) ? Kind.Space : char.IsAsciiDigit(first) ? Kind.Number : Kind.Other;
        // a lone surrogate decodes as U+FFFD, a symbol
        Rune.DecodeFromUtf16(text, out Rune rune, out length);
        return Rune.IsWhiteSpace(rune) ? Kind.Space : Rune.IsLetter(rune) ? Kind.Letter : Rune.GetUnicodeCategory(rune)
            is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber ? Kind.Number : Kind.Other;
    }
}
