using System.Text;
using Coppice.Text.PreTokenizers;

namespace Coppice.Text.Normalizers;

/// <summary>A normalizer that looks at one character at a time.</summary>
abstract record CharacterNormalizer : Normalizer
{
    public sealed override string Normalize(string text)
    {
        StringBuilder builder = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
            Append(rune, builder);
        return builder.ToString();
    }

    /// <summary>Appends what becomes of a character.</summary>
    protected abstract void Append(Rune rune, StringBuilder text);
}

/// <summary>Lower case, character by character: a final sigma is as any other.</summary>
sealed record Lowercase : CharacterNormalizer
{
    protected override void Append(Rune rune, StringBuilder text) => AppendLower(rune, text);

    // İ is the one character whose lower case is two.
    internal static void AppendLower(Rune rune, StringBuilder text) => _ = rune.Value == 0x130 ? text.Append("i\u0307") : text.Append(Rune.ToLowerInvariant(rune));
}

/// <summary>Leaves out marks; what is composed with its mark keeps it.</summary>
sealed record StripAccents : CharacterNormalizer
{
    protected override void Append(Rune rune, StringBuilder text)
    {
        if (!CharacterClasses.IsMark(rune))
            text.Append(rune);
    }
}

/// <summary>SentencePiece's first rules of nmt_nfkc: control characters go, what is like a space becomes one.</summary>
sealed record Nmt : CharacterNormalizer
{
    protected override void Append(Rune rune, StringBuilder text)
    {
        if (rune.Value is >= 0x1 and <= 0x8 or 0xB or >= 0xE and <= 0x1F or 0x7F or 0x8F or 0x9F)
            return;
        text.Append(rune.Value is 0x9 or 0xA or 0xC or 0xD or 0x1680 or >= 0x200B and <= 0x200F or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD ? new Rune(' ') : rune);
    }
}

/// <summary>Spells the UTF-8 bytes in GPT-2's alphabet.</summary>
sealed record ByteLevelNormalizer : Normalizer
{
    public override string Normalize(string text) => ByteAlphabet.Spell(Encoding.UTF8.GetBytes(text));
}
