namespace Coppice.Text.PreTokenizers;

/// <summary>
/// GPT-2's spelling of bytes as printable characters: the 188 printable Latin-1 bytes are themselves, and the other 68, in order, are
/// U+0100 to U+0143; so a space is "Ġ" and a line feed "Ċ".
/// </summary>
static class ByteAlphabet
{
    static readonly char[] Chars = Build();
    static readonly Dictionary<char, byte> Values = Chars.Index().ToDictionary(pair => pair.Item, pair => (byte)pair.Index);

    /// <summary>The character of a byte.</summary>
    public static char Char(byte value) => Chars[value];

    /// <summary>All 256 characters in code point order: the order of the first 256 ids of a trained vocabulary.</summary>
    public static char[] Sorted => [.. Chars.Order()];

    /// <summary>The spelling of bytes.</summary>
    public static string Spell(ReadOnlySpan<byte> bytes) => string.Create(bytes.Length, bytes, static (chars, source) =>
    {
        for (int i = 0; i < chars.Length; i++)
            chars[i] = Chars[source[i]];
    });

    /// <summary>The bytes of a spelling, or null where a character is none of the 256.</summary>
    public static byte[]? Parse(string spelling)
    {
        byte[] bytes = new byte[spelling.Length];
        for (int i = 0; i < bytes.Length; i++)
            if (!Values.TryGetValue(spelling[i], out bytes[i]))
                return null;
        return bytes;
    }

    static char[] Build()
    {
        char[] chars = new char[256];
        char next = '\u0100';
        for (int value = 0; value < 256; value++)
            chars[value] = value is >= 0x21 and <= 0x7E or >= 0xA1 and <= 0xAC or >= 0xAE ? (char)value : next++;
        return chars;
    }
}
