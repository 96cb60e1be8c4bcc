using System.Text.Unicode;
using Coppice.Text;

namespace Coppice.Inference;

/// <summary>Turns tokens into text as they come. A character whose bytes lie in several tokens comes out with the last of them. Not thread-safe.</summary>
/// <param name="tokenizer">What spells the tokens.</param>
/// <param name="after">The token before the first, such as the prompt's last: SentencePiece drops a space that follows BOS.</param>
public sealed class TextStream(Tokenizer tokenizer, int? after = null)
{
    byte[] bytes = new byte[64];
    char[] chars = new char[64];
    int held;
    int? previous = after;

    /// <summary>The characters that <paramref name="token"/> completes, perhaps none; valid until the next call.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is not a token.</exception>
    public ReadOnlySpan<char> Add(int token)
    {
        ReadOnlySpan<byte> added = tokenizer.Bytes(previous, token);
        previous = token;
        if (bytes.Length < held + added.Length)
        {
            Array.Resize(ref bytes, 2 * (held + added.Length));
            // A byte becomes one character at most.
            chars = new char[bytes.Length];
        }
        added.CopyTo(bytes.AsSpan(held));
        held += added.Length;
        return Take(isLast: false);
    }

    /// <summary>Ends the text: bytes of a character that was never completed come out as U+FFFD.</summary>
    public ReadOnlySpan<char> End() => Take(isLast: true);

    ReadOnlySpan<char> Take(bool isLast)
    {
        Utf8.ToUtf16(bytes.AsSpan(0, held), chars, out int read, out int written, replaceInvalidSequences: true, isFinalBlock: isLast);
        bytes.AsSpan(read, held - read).CopyTo(bytes);
        held -= read;
        return chars.AsSpan(0, written);
    }
}
