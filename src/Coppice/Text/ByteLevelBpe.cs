using System.Buffers;
using System.Collections.Concurrent;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text;

/// <summary>A token added beside the merges. A control token has no text; any other is matched in every text before it is split into words.</summary>
/// <param name="Content">How it is written.</param>
/// <param name="IsControl">Hugging Face's "special".</param>
readonly record struct AddedToken(string Content, bool IsControl);

/// <summary>
/// Byte-level BPE as GPT-2 has it (Radford et al. 2019): words by GPT-2's pattern, their UTF-8 bytes merged pair by pair in the order of the merge list.
/// Read one with <see cref="Tokenizer.Load"/>, or train one with <see cref="BpeTrainer"/>.
/// </summary>
public sealed class ByteLevelBpe : Tokenizer
{
    const int CachedWords = 1 << 16, CachedLength = 64;

    readonly string[] tokens;
    readonly byte[][] bytes;
    readonly int[] byteIds = new int[256];
    readonly Dictionary<string, int> addedIds;
    readonly SearchValues<string> control, added;
    readonly SymbolMerger merger;
    readonly ConcurrentDictionary<string, int[]> cache = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> cacheLookup;
    int cached;

    /// <param name="tokens">Spellings by id.</param>
    /// <param name="merges">Pairs of ids, first merged first, and what each becomes.</param>
    /// <param name="added">Added tokens by id.</param>
    /// <param name="bos">Id of the token that starts a document.</param>
    /// <param name="eos">Id of the token that ends a document.</param>
    /// <param name="postProcessor">The file's "post_processor", kept for writing it back.</param>
    /// <exception cref="CoppiceException">A byte has no token, or a spelling has a character that is no byte.</exception>
    internal ByteLevelBpe(string[] tokens, (int Left, int Right, int Merged)[] merges, IReadOnlyDictionary<int, AddedToken> added, int? bos, int? eos, string postProcessor = "null")
    {
        (this.tokens, Merges, Added, BosId, EosId, PostProcessor) = (tokens, merges, added, bos, eos, postProcessor);
        bytes = new byte[tokens.Length][];
        Array.Fill(byteIds, -1);
        foreach ((int id, AddedToken token) in added)
            if (token.Content.Length == 0)
                throw new CoppiceException($"token {id} is an added token without a character, which every text would hold everywhere");
        for (int id = 0; id < tokens.Length; id++)
        {
            bytes[id] = added.TryGetValue(id, out AddedToken token) ? token.IsControl ? [] : Encoding.UTF8.GetBytes(token.Content)
                : ByteAlphabet.Parse(tokens[id]) ?? throw new CoppiceException($"token {id}, '{tokens[id]}', has a character that stands for no byte");
            if (bytes[id].Length == 1 && !added.ContainsKey(id))
                byteIds[bytes[id][0]] = id;
        }
        int missing = Array.IndexOf(byteIds, -1);
        if (missing >= 0)
            throw new CoppiceException($"the vocabulary has no token for byte 0x{missing:X2} ('{ByteAlphabet.Char((byte)missing)}'); byte-level BPE needs all 256");

        Dictionary<(int, int), Merge> table = new(merges.Length);
        for (int rank = 0; rank < merges.Length; rank++)
            table.TryAdd((merges[rank].Left, merges[rank].Right), new Merge(rank, merges[rank].Merged));
        merger = new SymbolMerger(table);
        addedIds = added.ToDictionary(pair => pair.Value.Content, pair => pair.Key, StringComparer.Ordinal);
        this.added = Search(added.Values.Where(token => !token.IsControl));
        control = Search(added.Values);
        cacheLookup = cache.GetAlternateLookup<ReadOnlySpan<char>>();

        static SearchValues<string> Search(IEnumerable<AddedToken> tokens) =>
            SearchValues.Create([.. tokens.Select(token => token.Content)], StringComparison.Ordinal);
    }

    internal IReadOnlyList<(int Left, int Right, int Merged)> Merges { get; }

    internal IReadOnlyDictionary<int, AddedToken> Added { get; }

    internal string PostProcessor { get; }

    /// <inheritdoc/>
    public override int Count => tokens.Length;

    /// <inheritdoc/>
    public override string Token(int id) => tokens[Checked(id)];

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes(int id) => bytes[Checked(id)];

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> text, List<int> ids, SpecialMarkers markers = SpecialMarkers.AsText)
    {
        SearchValues<string> search = markers == SpecialMarkers.Parse ? control : added;
        while (text.Length > 0)
        {
            int at = text.IndexOfAny(search);
            EncodeWords(at < 0 ? text : text[..at], ids);
            if (at < 0)
                return;
            (int id, int length) = Longest(text[at..], markers);
            ids.Add(id);
            text = text[(at + length)..];
        }
    }

    void EncodeWords(ReadOnlySpan<char> text, List<int> ids)
    {
        while (text.Length > 0)
        {
            int length = Gpt2Pattern.NextLength(text);
            EncodeWord(text[..length], ids);
            text = text[length..];
        }
    }

    void EncodeWord(ReadOnlySpan<char> word, List<int> ids)
    {
        if (cacheLookup.TryGetValue(word, out int[]? known))
        {
            ids.AddRange(known);
            return;
        }
        int start = ids.Count;
        byte[] utf8 = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(word.Length));
        int count = Encoding.UTF8.GetBytes(word, utf8);
        foreach (byte value in utf8.AsSpan(0, count))
            ids.Add(byteIds[value]);
        ArrayPool<byte>.Shared.Return(utf8);
        merger.Apply(ids, start);
        if (word.Length <= CachedLength && Volatile.Read(ref cached) < CachedWords && cacheLookup.TryAdd(word, [.. ids[start..]]))
            Interlocked.Increment(ref cached);
    }

    // of the added tokens that start here, the longest
    (int Id, int Length) Longest(ReadOnlySpan<char> text, SpecialMarkers markers)
    {
        (int Id, int Length) best = (-1, 0);
        foreach ((string content, int id) in addedIds)
            if (content.Length > best.Length && (markers == SpecialMarkers.Parse || !Added[id].IsControl) && text.StartsWith(content, StringComparison.Ordinal))
                best = (id, content.Length);
        return best;
    }

    int Checked(int id) => (uint)id < (uint)tokens.Length ? id
        : throw new ArgumentOutOfRangeException(nameof(id), $"Token {id}: the tokenizer has {tokens.Length}");

    /// <summary>tokenizer.json, and a tokenizer_config.json that names BOS and EOS.</summary>
    public override IReadOnlyList<(string Name, Action<Stream> Write)> Files =>
        [(TokenizerJson.FileName, stream => TokenizerJson.Write(this, stream)), (TokenizerJson.ConfigFileName, stream => TokenizerJson.WriteConfig(this, stream))];

    private protected override byte[] Definition()
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write("byte-level BPE, GPT-2 pattern");
        for (int id = 0; id < tokens.Length; id++)
        {
            writer.Write(tokens[id]);
            writer.Write(!Added.TryGetValue(id, out AddedToken token) ? 0 : token.IsControl ? 2 : 1);
        }
        foreach ((int left, int right, int merged) in Merges)
        {
            writer.Write(left);
            writer.Write(right);
            writer.Write(merged);
        }
        writer.Flush();
        return stream.ToArray();
    }
}
