using System.Globalization;
using System.Text;
using Coppice.Tensors;
using Coppice.Text.SentencePiece;

namespace Coppice.Text;

/// <summary>
/// llama2.c's tokenizer.bin: SentencePiece BPE. Pieces with scores, little-endian: int32 longest piece, then for each token float32 score, int32 length, bytes. Ids 0, 1 and 2 are unknown, BOS and EOS, the next 256 bytes.
/// </summary>
static class Llama2CVocabulary
{
    public const string DefaultFileName = "tokenizer.bin";

    const int FirstByte = 3, MaxTokens = 1 << 20;

    /// <summary>The steps of a file.</summary>
    /// <param name="file">Its bytes.</param>
    /// <param name="count">The model's vocabulary size, which the file does not say; without it, all tokens up to the file's end.</param>
    /// <exception cref="CoppiceException">The file is cut short, has another number of tokens, or is no such vocabulary.</exception>
    public static TokenizerParts Read(ReadOnlySpan<byte> file, int? count)
    {
        List<byte[]> pieces = [];
        List<float> scores = [];
        int at = 0;
        int longest = BitConverter.ToInt32(Take(file, 4, ref at, "header"));
        while (at < file.Length && pieces.Count < (count ?? MaxTokens))
        {
            string token = string.Create(CultureInfo.InvariantCulture, $"token {pieces.Count}");
            scores.Add(BitConverter.ToSingle(Take(file, 4, ref at, token)));
            int length = BitConverter.ToInt32(Take(file, 4, ref at, token));
            if (length < 0 || length > longest)
                throw new CoppiceException($"{token} claims {length} bytes, the longest is to have {longest}");
            pieces.Add(Take(file, length, ref at, token).ToArray());
        }
        if (at < file.Length || pieces.Count < (count ?? FirstByte + 256))
            throw new CoppiceException($"{pieces.Count} tokens end at byte {at} of {file.Length}, "
                + (count is int wanted ? $"the model has {wanted}" : $"at least {FirstByte + 256} and at most {MaxTokens} were expected"));
        return new SentencePieceVocabulary
        {
            Model = SentencePieceModel.Bpe,
            Pieces = [.. pieces.Select(Spelled)],
            Scores = scores,
            Kinds = [.. pieces.Select((_, id) => id switch { 0 => PieceKind.Unknown, 1 or 2 => PieceKind.Control, < FirstByte + 256 => PieceKind.Byte, _ => PieceKind.Normal })],
            Bos = 1,
            Eos = 2,
        }.ToParts();
    }

    static string Spelled(byte[] piece, int id)
    {
        if (id is 1 or 2)
            return id == 1 ? "<s>" : "</s>";
        try
        {
            string text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(piece);
            if (id is >= FirstByte and < FirstByte + 256 && text != $"<0x{id - FirstByte:X2}>")
                throw new CoppiceException($"token {id} is not '<0x{id - FirstByte:X2}>', the byte that encoding falls back to");
            return id < FirstByte + 256 ? text : text.Replace(' ', SentencePieceVocabulary.Space);
        }
        catch (DecoderFallbackException error)
        {
            throw new CoppiceException($"token {id} is not UTF-8", error);
        }
    }

    static ReadOnlySpan<byte> Take(ReadOnlySpan<byte> file, int length, ref int at, string what)
    {
        if (length > file.Length - at)
            throw new CoppiceException($"cut short: {what} needs {length} bytes at {at}, the file has {file.Length}");
        at += length;
        return file[(at - length)..at];
    }
}
