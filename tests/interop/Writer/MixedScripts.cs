using System.Text;

namespace Coppice.Interop;

/// <summary>Lines of mixed scripts from a seed: letters with and without marks, digits, ideographs, jamo, compatibility forms, emoji and their joiners, white space of all kinds, control characters, markers whole and broken.</summary>
static class MixedScripts
{
    static readonly (int First, int Last)[] Blocks =
    [
        (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0x61, 0x7A), (0xA0, 0xFF), (0x100, 0x17F), (0x370, 0x377), (0x391, 0x3A1), (0x3A3, 0x3FF), (0x400, 0x4FF), (0x531, 0x556), (0x5D0, 0x5EA), (0x621, 0x64A), (0x660, 0x669),
        (0x905, 0x939), (0x93E, 0x94D), (0x985, 0x98C), (0xE01, 0xE3A), (0xE40, 0xE4E), (0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2), (0x1E00, 0x1EFF), (0x1F00, 0x1F15), (0x2010, 0x2027), (0x2030, 0x205E),
        (0x2074, 0x2079), (0x20A0, 0x20BE), (0x2100, 0x214F), (0x2150, 0x2188), (0x2190, 0x21FF), (0x2460, 0x24FF), (0x2600, 0x26FF), (0x3001, 0x303F), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x3400, 0x3420), (0x4E00, 0x9FA5),
        (0xAC00, 0xD7A3), (0xF900, 0xFA6D), (0xFB00, 0xFB06), (0xFE50, 0xFE52), (0xFF01, 0xFF9D), (0x300, 0x36F), (0x1D400, 0x1D454), (0x1D7CE, 0x1D7FF), (0x1F300, 0x1F5FF), (0x1F600, 0x1F64F), (0x1F680, 0x1F6C5), (0x20000, 0x20050),
        (0x10330, 0x1034A), (0x10400, 0x1044F), (0x1F1E6, 0x1F1FF), (0x1F3FB, 0x1F3FF),
    ];

    static readonly string[] Pieces =
    [
        " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00A0", "\u2009", "\u3000", "\u200B", "\u200D", "\uFE0F", "'s", "'re", "'LL", "n't", "don't", "123", "1234567", "3.14", "http://a.b/c?d=e",
        "foo_bar", "fooBar", "👨\u200D👩\u200D👧\u200D👦", "🇩🇪", "e\u0301", "İ", "ß", "ǅ", "ſ", "ﬁ", "①", "½", "<s>", "</s>", "<unk>", "[CLS]", " [MASK] ", "<|endoftext|>", "<|endoftext", "<mask>", "▁", "##ing",
        "\0", "\u0001", "\u007F", "\u0085", "\uFEFF", "\u00AD", "the", " the", " of", " and", "ing", " value", "Returns", " Gets", "qzx", " ignoring", ".", " .", ",", " ,", "!", "?", "...", "(", ")", "[", "]", "{", "}", "==", "/", "\\", "\"", "``", "~",
    ];

    public static IEnumerable<string> Lines(int seed, int count)
    {
        Random random = new(seed);
        for (int i = 0; i < count; i++)
        {
            StringBuilder line = new();
            (int, int) script = Blocks[random.Next(Blocks.Length)];
            for (int parts = random.Next(1, 20); parts > 0; parts--)
                if (random.Next(10) is int kind and >= 4)
                {
                    (int first, int last) = kind < 7 ? script : Blocks[random.Next(Blocks.Length)];
                    for (int letters = random.Next(1, 6); letters > 0; letters--)
                        line.Append(new Rune(random.Next(first, last + 1)));
                    if (random.Next(3) == 0)
                        line.Append(' ');
                }
                else
                {
                    line.Append(Pieces[random.Next(Pieces.Length)]);
                }
            yield return line.ToString();
        }
    }
}
