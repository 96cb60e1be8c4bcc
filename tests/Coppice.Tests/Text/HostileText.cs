using System.Text;

namespace Coppice.Tests.Text;

/// <summary>Texts that break tokenizers.</summary>
static class HostileText
{
    public static readonly string[] Samples =
    [
        "", " ", "   ", "\n", "a\n\n\nb \t c", "  leading", "trailing   ", "\r\n\r\n x", "I'm don't we'll they've 'S 's''s 'r 'l 'v '", " 's", "'ll'dogs're",
        "x\u00A0y\u3000z\u2028w\u0085v", "a  b   c\u00A0\u00A0d", "𝒜𝓑𝔠 𝟙𝟚𝟛 𐐷x", "👩‍👩‍👧‍👦 👍🏽 🇩🇪", "日本語テキスト 中文。한국어", "²³½ ⅧⅨ 1234abc", "\0\u0001\u001F\u007F\u0080\u009F",
        "e\u0301 ñ ạ̈", "<|endoftext|> hi", "\uFFFD\uFEFF\u200B\u200D x", "שלום עולם مرحبا", "_foo_bar__ --x== ", "١٢٣ ௧", "ǅ ʰ ª", "\U0010FFFF\uE000", "Ġ ĊĀ Ń",
    ];

    /// <summary>Random joins of pieces, each with a stand-in of the same length and classes in the Basic Multilingual Plane.</summary>
    public static IEnumerable<(string Text, string StandIn)> Random(int seed, int count)
    {
        (string, string)[] astral = [("𝒜", "AA"), ("𐐷", "AA"), ("𠀋", "AA"), ("𝟙", "11"), ("𐄇", "11"), ("🙂", "##"), ("\U0010FFFF", "##"), ("𝄞", "##")];
        string[] plain =
        [
            " ", " ", "  ", "\n", "\t", "\u00A0", "\u3000", "\u2009", "\u0085", "\u200B", "a", "Z", "é", "中", "ǅ", "ª", "\u0301", "7", "٣", "½", "Ⅷ", ".", "'", "'s", "'re", "'l", "'ll", "'S", "_", "\0", "=", "€",
        ];
        (string Text, string StandIn)[] pieces = [.. astral, .. plain.Select(piece => (piece, piece))];
        Random random = new(seed);
        for (int i = 0; i < count; i++)
        {
            var chosen = Enumerable.Range(0, random.Next(1, 24)).Select(_ => pieces[random.Next(pieces.Length)]).ToArray();
            yield return (string.Concat(chosen.Select(piece => piece.Text)), string.Concat(chosen.Select(piece => piece.StandIn)));
        }
    }

    public static int Utf8Length(string text) => Encoding.UTF8.GetByteCount(text);
}
