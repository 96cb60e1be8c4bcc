using System.Globalization;
using System.Text;

namespace Coppice.Text.Normalizers;

/// <summary>
/// A precompiled map, looked up as Hugging Face does: of a grapheme of fewer than six bytes the map's shortest entry stands for all of it; of any other, characters are looked up one by one.
/// </summary>
sealed record Precompiled(PrecompiledMap? Map) : Normalizer
{
    public override string Normalize(string text)
    {
        if (Map is null)
            return text;
        StringBuilder builder = new(text.Length);
        Span<byte> utf8 = stackalloc byte[8];
        for (ReadOnlySpan<char> rest = text; rest.Length > 0;)
        {
            int length = StringInfo.GetNextTextElementLength(rest);
            ReadOnlySpan<char> grapheme = rest[..length];
            rest = rest[length..];
            // three bytes a char at most
            if (grapheme.Length < 6 && Encoding.UTF8.GetByteCount(grapheme) is int count and < 6)
            {
                Encoding.UTF8.GetBytes(grapheme, utf8);
                if (Map.Match(utf8[..count], longest: false) is { } whole)
                {
                    builder.Append(whole.Replacement);
                    continue;
                }
            }
            foreach (Rune rune in grapheme.EnumerateRunes())
                if (Map.Match(utf8[..rune.EncodeToUtf8(utf8)], longest: false) is { } single)
                    builder.Append(single.Replacement);
                else
                    builder.Append(rune);
        }
        return builder.ToString();
    }
}
