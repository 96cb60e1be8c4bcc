using System.Globalization;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.Patterns;

/// <summary>
/// For characters beyond U+FFFF, characters of the Basic Multilingual Plane that a pattern cannot tell from them: of the same category, Han or not alike, and not named by the pattern.
/// </summary>
sealed class StandIns(CharacterSet named)
{
    readonly char[] found = new char[2 * ((int)UnicodeCategory.OtherNotAssigned + 1)];

    /// <summary>The stand-in of a character.</summary>
    public char Of(Rune rune)
    {
        UnicodeCategory category = Rune.GetUnicodeCategory(rune);
        bool isHan = CharacterSet.Han.Contains(rune.Value);
        ref char standIn = ref found[2 * (int)category + (isHan ? 1 : 0)];
        if (standIn == 0)
            standIn = Find(category, isHan);
        return standIn;
    }

    char Find(UnicodeCategory category, bool isHan)
    {
        // not from Latin, whose letters a pattern may fold
        for (int candidate = 0x2E80; candidate != 0x2E7F; candidate = candidate == 0xFFFD ? 0x250 : candidate + 1)
            if (!char.IsSurrogate((char)candidate) && CharUnicodeInfo.GetUnicodeCategory(candidate) == category && CharacterSet.Han.Contains(candidate) == isHan
                && !char.IsWhiteSpace((char)candidate) && candidate != 0x212A && !named.Contains(candidate))
                return (char)candidate;
        throw new CoppiceException($"the tokenizer's pattern names every character of category {category}, so that those beyond U+FFFF cannot be matched");
    }
}
