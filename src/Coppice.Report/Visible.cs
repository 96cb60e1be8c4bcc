using System.Globalization;
using System.Text;

namespace Coppice.Report;

/// <summary>Token text in which nothing hides: controls, direction marks and broken surrogates can be seen and do nothing.</summary>
internal static class Visible
{
    /// <summary>The text with its invisible characters drawn.</summary>
    public static string Text(string token)
    {
        StringBuilder text = new();
        foreach (Rune rune in token.EnumerateRunes())
        {
            if (rune.Value == '\n')
                text.Append('⏎');
            else if (rune.Value < 0x20)
                text.Append((char)(0x2400 + rune.Value));
            else if (rune.Value == 0x7F)
                text.Append('␡');
            else if (Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
                or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned)
                text.Append(CultureInfo.InvariantCulture, $"‹{rune.Value:X4}›");
            else
                text.Append(rune.ToString());
        }
        return text.ToString();
    }

    /// <summary>For a table or a tooltip: spaces drawn too.</summary>
    public static string Quoted(string token) => $"“{Text(token).Replace(' ', '␣')}”";
}
