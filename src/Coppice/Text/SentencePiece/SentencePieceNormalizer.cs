using System.Text;
using Coppice.Text.Normalizers;

namespace Coppice.Text.SentencePiece;

/// <summary>
/// SentencePiece's own: at each place the map's longest entry, or a character as it is; where asked for, spaces at the ends go and those in a row are one, a space is put in front, and spaces become visible.
/// </summary>
/// <param name="Map">A precompiled map.</param>
/// <param name="AddsPrefix">Whether a space is put in front of what is encoded.</param>
/// <param name="RemovesExtraSpaces">Whether spaces at the ends go, and spaces in a row are one.</param>
/// <param name="EscapesSpaces">Whether a space becomes U+2581.</param>
sealed record SentencePieceNormalizer(PrecompiledMap? Map, bool AddsPrefix, bool RemovesExtraSpaces, bool EscapesSpaces) : Normalizer
{
    /// <summary>What stands in front of a text that begins with a piece which is found before all else.</summary>
    public string Prefix => !AddsPrefix ? "" : EscapesSpaces ? $"{SentencePieceVocabulary.Space}" : " ";

    public override string Normalize(string text) => NormalizeSegment(text, isFirst: true, isLast: true);

    public override string NormalizeSegment(string text, bool isFirst, bool isLast)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        StringBuilder builder = new(text.Length + 1);
        bool wasSpace = RemovesExtraSpaces && isFirst, isEmpty = true;
        for (int at = 0; at < utf8.Length;)
        {
            ReadOnlySpan<char> next = Next(utf8.AsSpan(at), out int length);
            at += length;
            if (wasSpace)
                next = next.TrimStart(' ');
            if (next.IsEmpty)
                continue;
            // what is nothing but spaces stays empty
            if (isEmpty && isFirst && AddsPrefix)
                builder.Append(' ');
            isEmpty = false;
            builder.Append(next);
            wasSpace = RemovesExtraSpaces && next[^1] == ' ';
        }
        if (EscapesSpaces)
            builder.Replace(' ', SentencePieceVocabulary.Space);
        string normalized = builder.ToString();
        return RemovesExtraSpaces && isLast ? normalized.TrimEnd(EscapesSpaces ? SentencePieceVocabulary.Space : ' ') : normalized;
    }

    ReadOnlySpan<char> Next(ReadOnlySpan<byte> utf8, out int length)
    {
        if (Map?.Match(utf8, longest: true) is { } match)
        {
            length = match.Length;
            return match.Replacement;
        }
        Rune.DecodeFromUtf8(utf8, out Rune rune, out length);
        return rune.ToString();
    }
}
