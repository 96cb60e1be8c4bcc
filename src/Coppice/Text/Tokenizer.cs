using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text;

/// <summary>What a special marker such as "&lt;|endoftext|&gt;" means when it stands in a text that is encoded.</summary>
public enum SpecialMarkers
{
    /// <summary>Plain characters: text from outside cannot forge a control token. The default.</summary>
    AsText,
    /// <summary>The control token itself: for prompts that the caller wrote.</summary>
    Parse,
}

/// <summary>
/// Text to token ids and back. Encoding adds neither BOS nor EOS: the caller places <see cref="BosId"/>. A lone surrogate is encoded as U+FFFD, as
/// UTF-8 has no bytes for it. Safe for use from several threads.
/// </summary>
public abstract class Tokenizer
{
    readonly Lazy<string> hash;

    private protected Tokenizer() => hash = new(() => Convert.ToHexStringLower(SHA256.HashData(Definition())));

    /// <summary>Number of tokens; ids are 0 to <see cref="Count"/> - 1.</summary>
    public abstract int Count { get; }

    /// <summary>The token that starts a document, where the tokenizer has one.</summary>
    public int? BosId { get; private protected init; }

    /// <summary>The token that ends a document, where the tokenizer has one.</summary>
    public int? EosId { get; private protected init; }

    /// <summary>SHA-256 over tokens and merges, in lower-case hex: names the tokenizer in a score's signature.</summary>
    public string Hash => hash.Value;

    /// <summary>The token as its vocabulary spells it, such as "Ġthe" or "&lt;0x0A&gt;".</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public abstract string Token(int id);

    /// <summary>The UTF-8 bytes that the token adds to a text; none for a control token. One token may hold part of a character.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public abstract ReadOnlySpan<byte> Bytes(int id);

    /// <summary>Appends the ids of <paramref name="text"/>.</summary>
    public abstract void Encode(ReadOnlySpan<char> text, List<int> ids, SpecialMarkers markers = SpecialMarkers.AsText);

    /// <summary>The ids of <paramref name="text"/>.</summary>
    public int[] Encode(string text, SpecialMarkers markers = SpecialMarkers.AsText)
    {
        List<int> ids = [];
        Encode(text, ids, markers);
        return [.. ids];
    }

    /// <summary>Number of bytes of text that the token stands for: the denominator of bits a byte.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public int ByteCount(int id) => Bytes(id).Length;

    /// <summary>Number of bytes that <see cref="Decode"/> gives before bytes that are not UTF-8 become U+FFFD.</summary>
    public long ByteCount(ReadOnlySpan<int> ids)
    {
        long count = 0;
        for (int i = 0; i < ids.Length; i++)
            count += Bytes(i == 0 ? null : ids[i - 1], ids[i]).Length;
        return count;
    }

    /// <summary>The bytes that <paramref name="id"/> adds after the token <paramref name="previous"/>: SentencePiece drops a space that follows BOS.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public virtual ReadOnlySpan<byte> Bytes(int? previous, int id) => Bytes(id);

    /// <summary>Appends the bytes of one token, whatever stands before it.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public void DecodeBytes(int id, IBufferWriter<byte> bytes) => bytes.Write(Bytes(id));

    /// <summary>The text of <paramref name="ids"/>, control tokens left out; bytes that are not UTF-8 become U+FFFD.</summary>
    public string Decode(ReadOnlySpan<int> ids)
    {
        ArrayBufferWriter<byte> bytes = new(4 * ids.Length + 1);
        for (int i = 0; i < ids.Length; i++)
            bytes.Write(Bytes(i == 0 ? null : ids[i - 1], ids[i]));
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    /// <summary>The files that <see cref="Load"/> reads a tokenizer back from, by name, and what writes each.</summary>
    public abstract IReadOnlyList<(string Name, Action<Stream> Write)> Files { get; }

    /// <summary>
    /// Reads the tokenizer.json or tokenizer.bin of a folder, or one file: <c>.json</c> in Hugging Face's layout, <c>.bin</c> in llama2.c's.
    /// </summary>
    /// <exception cref="CoppiceException">There is no such file, it is damaged, or needs what Coppice has not; the message names it.</exception>
    public static Tokenizer Load(string path)
    {
        string file = path;
        if (Directory.Exists(path))
        {
            file = Path.Combine(path, TokenizerJson.FileName);
            if (!File.Exists(file))
                file = Path.Combine(path, SentencePieceBpe.DefaultFileName);
        }
        if (!File.Exists(file))
            throw new CoppiceException($"'{path}' holds no tokenizer: looked for {TokenizerJson.FileName} and {SentencePieceBpe.DefaultFileName}");
        return Path.GetExtension(file) == ".bin" ? SentencePieceBpe.Load(file) : TokenizerJson.Load(file);
    }

    /// <summary>Everything that decides how a text is encoded, as bytes.</summary>
    private protected abstract byte[] Definition();
}
