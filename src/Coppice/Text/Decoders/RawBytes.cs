using System.Buffers;
using System.Text;

namespace Coppice.Text.Decoders;

/// <summary>Texts that hold bytes which are no characters yet: a byte from 0x80 on is the low surrogate U+DC00 + byte, standing alone (as Python's surrogateescape has it).</summary>
static class RawBytes
{
    /// <summary>Spells bytes.</summary>
    public static string Spell(ReadOnlySpan<byte> bytes) => string.Create(bytes.Length, bytes, static (chars, source) =>
    {
        for (int i = 0; i < chars.Length; i++)
            chars[i] = (char)(source[i] < 0x80 ? source[i] : 0xDC00 + source[i]);
    });

    /// <summary>The bytes of a text in UTF-8, spelled ones as they are.</summary>
    public static byte[] Of(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\uDC80', '\uDCFF'))
            return Encoding.UTF8.GetBytes(text);
        ArrayBufferWriter<byte> bytes = new(3 * text.Length);
        for (int at = 0; at < text.Length;)
            if (text[at] is >= '\uDC80' and <= '\uDCFF')
            {
                bytes.Write([(byte)(text[at] - 0xDC00)]);
                at++;
            }
            else
            {
                Rune.DecodeFromUtf16(text.AsSpan(at), out Rune rune, out int length);
                bytes.Advance(rune.EncodeToUtf8(bytes.GetSpan(4)));
                at += length;
            }
        return bytes.WrittenSpan.ToArray();
    }
}
