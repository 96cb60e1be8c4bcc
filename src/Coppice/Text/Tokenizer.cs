using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using Coppice.Tensors;
using Coppice.Text.ChatTemplates;
using Coppice.Text.Decoders;
using Coppice.Text.PreTokenizers;

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
/// Text to token ids and back, in steps that tokenizer.json names: added tokens are found, what lies between them is normalized, cut into words, and each word encoded by a model. Encoding adds neither
/// BOS nor EOS unless asked to (<see cref="EncodeForModel"/>): the caller places <see cref="BosId"/>. A lone surrogate is encoded as U+FFFD, as UTF-8 has no bytes for it. Safe for use from several threads.
/// </summary>
public sealed class Tokenizer
{
    readonly TokenizerParts parts;
    readonly Dictionary<int, AddedToken> added;
    readonly HashSet<int> control;
    readonly AddedTokenSearch raw, normalized;
    readonly Decoders.Decoder decoder;
    readonly byte[]?[] firstBytes, laterBytes;
    readonly Lazy<string> hash;
    readonly Lazy<ChatTemplate?> chatTemplate;

    [ThreadStatic]
    static Pieces? words;

    internal Tokenizer(TokenizerParts parts)
    {
        this.parts = parts;
        added = parts.Added.ToDictionary(token => token.Id);
        control = [.. parts.Added.Where(token => token.IsControl).Select(token => token.Id)];
        parts.Model.Control = control;
        raw = new AddedTokenSearch(parts.Added.Where(token => !token.IsNormalized), null);
        normalized = new AddedTokenSearch(parts.Added.Where(token => token.IsNormalized), parts.Normalizer);
        decoder = parts.Decoder ?? new SpacedWords();
        Count = Math.Max(parts.Model.Vocabulary.Count, parts.Added.Select(token => token.Id + 1).DefaultIfEmpty().Max());
        (firstBytes, laterBytes) = (new byte[Count][], new byte[Count][]);
        (BosId, EosId) = (parts.Roles.Bos, parts.Roles.Eos);
        hash = new(() => Convert.ToHexStringLower(SHA256.HashData(parts.Definition())));
        chatTemplate = new(() => parts.Roles.ChatTemplate is { } source ? new ChatTemplate(source, Spelled(BosId), Spelled(EosId)) : null);

        string? Spelled(int? id) => id is { } token ? Token(token) : null;
    }

    /// <summary>The steps.</summary>
    internal TokenizerParts Parts => parts;

    /// <summary>The largest id and one; ids are less, and may leave gaps.</summary>
    public int Count { get; }

    /// <summary>The token that starts a document, where the tokenizer has one.</summary>
    public int? BosId { get; }

    /// <summary>The token that ends a document, where the tokenizer has one.</summary>
    public int? EosId { get; }

    /// <summary>What it is, such as "byte-level BPE" or "WordPiece".</summary>
    public string Kind => parts.Kind;

    /// <summary>SHA-256 over all that decides how a text is encoded, in lower-case hex: names the tokenizer in a score's signature.</summary>
    public string Hash => hash.Value;

    /// <summary>How a conversation is written as one text, where the model came with a template.</summary>
    /// <exception cref="CoppiceException">The template is no Jinja that we know.</exception>
    public ChatTemplate? ChatTemplate => chatTemplate.Value;

    /// <summary>The token as its vocabulary spells it, such as "Ġthe" or "&lt;0x0A>"; empty for an id in a gap.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public string Token(int id) => added.TryGetValue(Checked(id), out AddedToken? token) ? token.Content : parts.Model.Vocabulary[id] ?? "";

    /// <summary>The id of a token by its spelling.</summary>
    public int? Find(string token) => parts.Find(token);

    /// <summary>The UTF-8 bytes that the token adds to a text that goes on; none for a control token. One token may hold part of a character.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public ReadOnlySpan<byte> Bytes(int id) => Bytes(id, isFirst: false);

    /// <summary>The bytes that <paramref name="id"/> adds behind the token <paramref name="previous"/>: SentencePiece drops a space that encoding put before the first.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public ReadOnlySpan<byte> Bytes(int? previous, int id) => Bytes(id, previous is null || previous == BosId);

    /// <summary>Appends the ids of <paramref name="text"/>.</summary>
    /// <exception cref="CoppiceException">The tokenizer has no token for a part of the text and none for what is unknown, or its pattern takes too long.</exception>
    public void Encode(ReadOnlySpan<char> text, List<int> ids, SpecialMarkers markers = SpecialMarkers.AsText)
    {
        if (text.ContainsAnyInRange('\uD800', '\uDFFF'))
            text = CharacterClasses.WithoutLoneSurrogates(text.ToString());
        for (int at = 0; at < text.Length;)
        {
            (int Start, int End, int Id)? token = raw.IsEmpty ? null : raw.Next(text, at, at, markers);
            EncodeSegment(text[at..(token?.Start ?? text.Length)], at == 0, token is null, ids, markers, at == 0 && token is { } symbol && !control.Contains(symbol.Id));
            if (token is null)
                return;
            ids.Add(token.Value.Id);
            at = token.Value.End;
        }
    }

    /// <summary>The ids of <paramref name="text"/>.</summary>
    public int[] Encode(string text, SpecialMarkers markers = SpecialMarkers.AsText)
    {
        List<int> ids = [];
        Encode(text, ids, markers);
        return [.. ids];
    }

    /// <summary>The ids of one text or two with the tokens that the model expects around them, such as BOS, or [CLS] and [SEP]: tokenizer.json's post-processor.</summary>
    public TokenSequence EncodeForModel(string text, string? second = null, SpecialMarkers markers = SpecialMarkers.AsText)
    {
        TokenSequence first = TokenSequence.Of(Encode(text, markers), 0);
        TokenSequence? next = second is null ? null : TokenSequence.Of(Encode(second, markers), parts.PostProcessor is PostProcessors.PostProcessorSequence or null ? 1 : 0);
        return parts.PostProcessor?.Apply(first, next) ?? PostProcessors.PostProcessor.Join(next is null ? [first] : [first, next]);
    }

    void EncodeSegment(ReadOnlySpan<char> segment, bool isFirst, bool isLast, List<int> ids, SpecialMarkers markers, bool isBeforeSymbol)
    {
        if (segment.IsEmpty && !isBeforeSymbol)
            return;
        ReadOnlySpan<char> text = parts.Normalizer is { } normalizer ? normalizer.NormalizeSegment(segment.ToString(), isFirst, isLast) : segment;
        if (text.IsEmpty && isBeforeSymbol && parts.Normalizer is SentencePiece.SentencePieceNormalizer sentencePiece)
            text = sentencePiece.Prefix;
        for (int at = 0; at < text.Length;)
        {
            (int Start, int End, int Id)? token = normalized.IsEmpty ? null : normalized.Next(text, at, at, markers);
            ReadOnlySpan<char> piece = text[at..(token?.Start ?? text.Length)];
            if (!piece.IsEmpty)
            {
                words ??= new Pieces();
                words.Reset(piece, isFirst && at == 0);
                parts.PreTokenizer?.Split(words);
                parts.Model.Encode(words, ids);
            }
            if (token is null)
                return;
            ids.Add(token.Value.Id);
            at = token.Value.End;
        }
    }

    /// <summary>Number of bytes of text that the token stands for: the denominator of bits a byte.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public int ByteCount(int id) => Bytes(id).Length;

    /// <summary>Number of bytes that <see cref="Decode"/> gives before bytes that are not UTF-8 become U+FFFD.</summary>
    public long ByteCount(ReadOnlySpan<int> ids)
    {
        long count = 0;
        bool isFirst = true;
        foreach (int id in ids)
        {
            count += Bytes(id, isFirst).Length;
            isFirst &= control.Contains(id);
        }
        return count;
    }

    /// <summary>Appends the bytes of one token, whatever stands before it.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="id"/> is not a token.</exception>
    public void DecodeBytes(int id, IBufferWriter<byte> bytes) => bytes.Write(Bytes(id));

    /// <summary>The text of <paramref name="ids"/>, control tokens left out; bytes that are not UTF-8 become U+FFFD.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One of them is not a token.</exception>
    public string Decode(ReadOnlySpan<int> ids)
    {
        int last = ids.Length - 1;
        while (last >= 0 && control.Contains(Checked(ids[last])))
            last--;
        ArrayBufferWriter<byte> bytes = new(4 * ids.Length + 1);
        bool isFirst = true;
        for (int i = 0; i < ids.Length; i++)
        {
            bytes.Write(i == last ? RawBytes.Of(decoder.Decode(Token(ids[i]), new TokenPlace(isFirst, IsLast: true, added.ContainsKey(ids[i])))) : Bytes(ids[i], isFirst));
            isFirst &= control.Contains(ids[i]);
        }
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    ReadOnlySpan<byte> Bytes(int id, bool isFirst)
    {
        ref byte[]? known = ref (isFirst ? firstBytes : laterBytes)[Checked(id)];
        return known ??= control.Contains(id) ? [] : RawBytes.Of(decoder.Decode(Token(id), new TokenPlace(isFirst, IsAdded: added.ContainsKey(id))));
    }

    /// <summary>The files that <see cref="Load"/> reads a tokenizer back from, by name, and what writes each.</summary>
    public IReadOnlyList<(string Name, Action<Stream> Write)> Files => TokenizerFolder.Files(this);

    /// <summary>
    /// Reads the tokenizer of a folder (tokenizer.json, tokenizer.model, source.spm or tokenizer.bin, in this order), or one file: <c>.json</c> in Hugging Face's layout, <c>.model</c> SentencePiece's, <c>.spm</c> beside a vocab.json a translation model's, <c>.bin</c> llama2.c's.
    /// </summary>
    /// <exception cref="CoppiceException">There is no such file, it is damaged, or needs what Coppice has not; the message names it, and the place in it.</exception>
    public static Tokenizer Load(string path) => TokenizerFolder.Load(path);

    int Checked(int id) => (uint)id < (uint)Count ? id : throw new ArgumentOutOfRangeException(nameof(id), $"Token {id}: the tokenizer has {Count}");
}
