using System.Globalization;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text;

/// <summary>
/// The tokenizer of llama2.c: SentencePiece BPE whose pieces have scores. A text that is not empty gets a space in front; characters that are no
/// piece become bytes (id 3 + byte); then the pair whose joined piece has the best score merges first. Ids 0, 1 and 2 are unknown, BOS and EOS; no
/// spelling in a text stands for them.
/// </summary>
public sealed class SentencePieceBpe : Tokenizer
{
    const int Unknown = 0, Bos = 1, Eos = 2, FirstByte = 3, MaxTokens = 1 << 20;
    internal const string DefaultFileName = "tokenizer.bin";

    readonly byte[][] pieces, bytes;
    readonly float[] scores;
    readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);
    readonly int space;
    readonly SymbolMerger merger;

    internal SentencePieceBpe(byte[][] pieces, float[] scores)
    {
        (this.pieces, this.scores, BosId, EosId) = (pieces, scores, Bos, Eos);
        for (int value = 0; value < 256; value++)
            if (pieces.Length <= FirstByte + value || Encoding.Latin1.GetString(pieces[FirstByte + value]) != $"<0x{value:X2}>")
                throw new CoppiceException($"token {FirstByte + value} is not '<0x{value:X2}>', the byte that encoding falls back to");
        for (int id = 0; id < scores.Length; id++)
            if (float.IsNaN(scores[id]))
                throw new CoppiceException($"the score of token {id} is NaN");
        bytes = [.. pieces.Select((piece, id) => id < FirstByte ? [] : id < FirstByte + 256 ? [(byte)(id - FirstByte)] : piece)];
        // keyed by bytes, a char each, as a piece need not be UTF-8
        for (int id = 0; id < pieces.Length; id++)
            ids.TryAdd(Encoding.Latin1.GetString(pieces[id]), id);
        space = ids.TryGetValue(" ", out int found) ? found : throw new CoppiceException("no piece is a single space, which encoding starts with");
        merger = new SymbolMerger(Splits());
    }

    /// <summary>Reads llama2.c's file: int32 longest piece, then for each token float32 score, int32 length, bytes; little-endian.</summary>
    /// <param name="path">The file, such as tok512.bin.</param>
    /// <param name="count">The model's vocabulary size, which the file does not say; without it, all tokens up to the file's end.</param>
    /// <exception cref="CoppiceException">The file is cut short, or has another number of tokens.</exception>
    public static SentencePieceBpe Load(string path, int? count = null)
    {
        byte[] file = File.ReadAllBytes(path);
        try
        {
            return Read(file, count);
        }
        catch (CoppiceException error)
        {
            throw new CoppiceException($"{path}: {error.Message}", error);
        }
    }

    internal static SentencePieceBpe Read(ReadOnlySpan<byte> file, int? count)
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
        return new SentencePieceBpe([.. pieces], [.. scores]);
    }

    static ReadOnlySpan<byte> Take(ReadOnlySpan<byte> file, int length, ref int at, string what)
    {
        if (length > file.Length - at)
            throw new CoppiceException($"cut short: {what} needs {length} bytes at {at}, the file has {file.Length}");
        at += length;
        return file[(at - length)..at];
    }

    /// <inheritdoc/>
    public override int Count => pieces.Length;

    /// <summary>The piece's score; the higher, the sooner it is merged.</summary>
    public float Score(int id) => scores[Checked(id)];

    /// <inheritdoc/>
    public override string Token(int id) => Encoding.UTF8.GetString(pieces[Checked(id)]);

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes(int id) => bytes[Checked(id)];

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes(int? previous, int id)
    {
        ReadOnlySpan<byte> piece = Bytes(id);
        return previous == Bos && piece is [(byte)' ', ..] ? piece[1..] : piece;
    }

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> text, List<int> ids, SpecialMarkers markers = SpecialMarkers.AsText)
    {
        if (text.Length == 0)
            return;
        int start = ids.Count;
        ids.Add(space);
        Span<byte> utf8 = stackalloc byte[4];
        var lookup = this.ids.GetAlternateLookup<ReadOnlySpan<char>>();
        Span<char> key = stackalloc char[4];
        foreach (Rune rune in text.EnumerateRunes())
        {
            int length = rune.EncodeToUtf8(utf8);
            Encoding.Latin1.GetChars(utf8[..length], key);
            if (lookup.TryGetValue(key[..length], out int id))
                ids.Add(id);
            else
                foreach (byte value in utf8[..length])
                    ids.Add(FirstByte + value);
        }
        merger.Apply(ids, start);
    }

    // Every way in which a piece is two pieces joined: the lowest order is the best score.
    Dictionary<(int, int), Merge> Splits()
    {
        Dictionary<(int, int), Merge> splits = [];
        foreach ((string piece, int id) in ids)
            for (int at = 1; at < piece.Length; at++)
                if (ids.TryGetValue(piece[..at], out int left) && ids.TryGetValue(piece[at..], out int right))
                    splits[(left, right)] = new Merge(-scores[id], id);
        return splits;
    }

    int Checked(int id) => (uint)id < (uint)pieces.Length ? id
        : throw new ArgumentOutOfRangeException(nameof(id), $"Token {id}: the tokenizer has {pieces.Length}");

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Action<Stream> Write)> Files => [(DefaultFileName, Write)];

    void Write(Stream stream)
    {
        using BinaryWriter writer = new(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(pieces.Max(piece => piece.Length));
        for (int id = 0; id < pieces.Length; id++)
        {
            writer.Write(scores[id]);
            writer.Write(pieces[id].Length);
            writer.Write(pieces[id]);
        }
    }

    private protected override byte[] Definition()
    {
        using MemoryStream stream = new();
        Write(stream);
        return stream.ToArray();
    }
}
