using System.Text;
using System.Text.RegularExpressions;

namespace Coppice.Evaluation;

/// <summary>
/// Words as NIST's mteval-v13a cuts them, which is what published BLEU scores count: entities are characters; ASCII punctuation but ' , - . stands alone; so do , and . unless digits are on both sides, and a - behind a digit.
/// </summary>
static partial class Tokenizer13a
{
    static readonly (string Entity, string Text)[] entities = [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")];

    /// <summary>The words of a segment.</summary>
    public static string[] Split(string segment)
    {
        StringBuilder text = new(segment.TrimEnd());
        text.Replace("<skipped>", "").Replace("-\n", "").Replace('\n', ' ');
        foreach ((string entity, string character) in entities)
            text.Replace(entity, character);
        StringBuilder apart = new(" ", 2 * text.Length);
        foreach (char letter in text.ToString())
            if (char.IsAscii(letter) && (char.IsPunctuation(letter) || char.IsSymbol(letter)) && letter is not ('\'' or ',' or '-' or '.'))
                apart.Append(' ').Append(letter).Append(' ');
            else
                apart.Append(letter);
        string words = AfterNoDigit().Replace(apart.Append(' ').ToString(), "$1 $2 ");
        words = BeforeNoDigit().Replace(words, " $1 $2");
        return DashAfterDigit().Replace(words, "$1 $2 ").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
    }

    [GeneratedRegex("([^0-9])([.,])")]
    private static partial Regex AfterNoDigit();

    [GeneratedRegex("([.,])([^0-9])")]
    private static partial Regex BeforeNoDigit();

    [GeneratedRegex("([0-9])(-)")]
    private static partial Regex DashAfterDigit();
}
