using System.Globalization;
using System.Text;

namespace Coppice.Text.Normalizers;

/// <summary>
/// BERT's: control characters go and white space becomes a space; ideographs stand alone; accents go; lower case. <paramref name="StripAccents"/> is as <paramref name="Lowercase"/> where a file leaves it open.
/// </summary>
sealed record BertNormalizer(bool CleanText, bool HandleChineseChars, bool StripAccents, bool Lowercase) : Normalizer
{
    public static BertNormalizer From(JsonPart part)
    {
        part.Only("clean_text", "handle_chinese_chars", "strip_accents", "lowercase");
        bool lowercase = part.Flag("lowercase", true);
        return new BertNormalizer(part.Flag("clean_text", true), part.Flag("handle_chinese_chars", true), part.Flag("strip_accents", lowercase), lowercase);
    }

    public override string Normalize(string text)
    {
        StringBuilder builder = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
            if (CleanText && (rune.Value is '\t' or '\n' or '\r' || Rune.IsWhiteSpace(rune) && !CharacterClasses.IsOther(rune)))
                builder.Append(' ');
            else if (CleanText && (rune.Value == 0xFFFD || CharacterClasses.IsOther(rune)))
                continue;
            else if (HandleChineseChars && CharacterClasses.IsIdeograph(rune))
                builder.Append(' ').Append(rune).Append(' ');
            else
                builder.Append(rune);
        string cleaned = builder.ToString();
        if (!StripAccents && !Lowercase)
            return cleaned;
        builder.Clear();
        foreach (Rune rune in (StripAccents ? UnicodeNormalization.Normalize(cleaned, NormalizationForm.FormD) : cleaned).EnumerateRunes())
            if (StripAccents && Rune.GetUnicodeCategory(rune) == UnicodeCategory.NonSpacingMark)
                continue;
            else if (Lowercase)
                Normalizers.Lowercase.AppendLower(rune, builder);
            else
                builder.Append(rune);
        return builder.ToString();
    }
}
