using System.Buffers;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Coppice.Tensors;
using Coppice.Text.PreTokenizers;

namespace Coppice.Text.TokenModels;

/// <summary>What a <see cref="Bpe"/> does beside merging.</summary>
sealed record BpeOptions
{
    /// <summary>What stands for a character that is no token; without it, such a character is left out, as Hugging Face does.</summary>
    public int? Unknown { get; init; }

    /// <summary>Whether unknown characters in a row are one token.</summary>
    public bool FusesUnknown { get; init; }

    /// <summary>Whether a character that is no token becomes the tokens &lt;0x00> to &lt;0xFF> of its bytes.</summary>
    public bool FallsBackToBytes { get; init; }

    /// <summary>Whether a word that is a token is that token, whatever the merges would make of it.</summary>
    public bool IgnoresMerges { get; init; }

    /// <summary>In front of every character of a word but its first.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>Behind the last character of a word.</summary>
    public string Suffix { get; init; } = "";
}

/// <summary>
/// Byte-pair encoding (Sennrich et al. 2016): a word's characters, or its bytes in GPT-2's alphabet, are merged pair by pair in the order of the merge list; of SentencePiece's, in the order of scores.
/// </summary>
sealed class Bpe : TokenModel
{
    readonly Dictionary<(int, int), Merge> merges;
    readonly SymbolMerger merger;
    readonly int[] byteIds = new int[256], fallbackIds = new int[256];

    /// <param name="vocabulary">Every token.</param>
    /// <param name="merges">What pairs of ids become, and in which order.</param>
    /// <param name="options">What else it does.</param>
    /// <param name="json">The fields of "model" other than vocabulary and merges.</param>
    public Bpe(Vocabulary vocabulary, Dictionary<(int Left, int Right), Merge> merges, BpeOptions options, JsonElement json) : base(vocabulary, json)
    {
        (this.merges, Does, merger) = (merges, options, new SymbolMerger(merges));
        for (int value = 0; value < 256; value++)
        {
            byteIds[value] = vocabulary.Find([ByteAlphabet.Char((byte)value)]) ?? -1;
            fallbackIds[value] = vocabulary.Find(string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>")) ?? -1;
        }
    }

    /// <summary>No tokens.</summary>
    public static Bpe Empty { get; } = new(new Vocabulary(), [], new BpeOptions(), default);

    /// <summary>What it does beside merging.</summary>
    public BpeOptions Does { get; }

    /// <summary>How merges are written: "a b", or ["a", "b"], which can hold spaces.</summary>
    public bool WritesPairs { get; init; }

    /// <inheritdoc/>
    public override string Kind => Does.FallsBackToBytes ? "SentencePiece BPE" : "BPE";

    /// <summary>Pairs of ids, first merged first, and what each becomes.</summary>
    public IEnumerable<(int Left, int Right, int Merged)> Merges =>
        merges.OrderBy(merge => merge.Value.Order).ThenBy(merge => merge.Key).Select(merge => (merge.Key.Item1, merge.Key.Item2, merge.Value.Id));

    /// <inheritdoc/>
    protected override bool TakesBytes => Does.Prefix.Length == 0 && Does.Suffix.Length == 0;

    /// <inheritdoc/>
    protected internal override void EncodeWord(ReadOnlySpan<char> word, bool areBytes, List<int> ids)
    {
        int start = ids.Count;
        if (areBytes)
        {
            byte[] utf8 = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(word.Length));
            ReadOnlySpan<byte> bytes = utf8.AsSpan(0, Encoding.UTF8.GetBytes(word, utf8));
            if (Does.IgnoresMerges && Find(ByteAlphabet.Spell(bytes)) is { } whole)
                ids.Add(whole);
            else
                AddBytes(bytes, ids);
            ArrayPool<byte>.Shared.Return(utf8);
        }
        else if (Does.IgnoresMerges && Find(word) is { } whole)
        {
            ids.Add(whole);
        }
        else
        {
            AddCharacters(word, ids);
        }
        merger.Apply(ids, start);
    }

    void AddBytes(ReadOnlySpan<byte> bytes, List<int> ids)
    {
        bool wasUnknown = false;
        foreach (byte value in bytes)
            if (byteIds[value] >= 0)
            {
                ids.Add(byteIds[value]);
                wasUnknown = false;
            }
            else
            {
                AddUnknown(ids, ref wasUnknown);
            }
    }

    void AddCharacters(ReadOnlySpan<char> word, List<int> ids)
    {
        bool wasUnknown = false;
        Span<byte> utf8 = stackalloc byte[4];
        for (int at = 0; at < word.Length;)
        {
            Rune.DecodeFromUtf16(word[at..], out Rune rune, out int length);
            ReadOnlySpan<char> character = word.Slice(at, length);
            string? affixed = Does.Prefix.Length > 0 && at > 0 || Does.Suffix.Length > 0 && at + length == word.Length
                ? string.Concat(at > 0 ? Does.Prefix : "", character, at + length == word.Length ? Does.Suffix : "")
                : null;
            at += length;
            if (Find(affixed is null ? character : affixed) is { } id)
            {
                ids.Add(id);
                wasUnknown = false;
                continue;
            }
            ReadOnlySpan<byte> bytes = affixed is null ? utf8[..rune.EncodeToUtf8(utf8)] : Encoding.UTF8.GetBytes(affixed);
            if (Does.FallsBackToBytes && HasAll(bytes))
                foreach (byte value in bytes)
                    ids.Add(fallbackIds[value]);
            else
                AddUnknown(ids, ref wasUnknown);
        }
    }

    bool HasAll(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
            if (fallbackIds[value] < 0)
                return false;
        return true;
    }

    void AddUnknown(List<int> ids, ref bool wasUnknown)
    {
        if (Does.Unknown is { } unknown && !(wasUnknown && Does.FusesUnknown))
            ids.Add(unknown);
        wasUnknown = true;
    }

    /// <inheritdoc/>
    public override void WriteVocabulary(Utf8JsonWriter json)
    {
        json.WriteStartObject("vocab");
        foreach ((string token, int id) in Vocabulary.Entries)
            json.WriteNumber(token, id);
        json.WriteEndObject();
        json.WriteStartArray("merges");
        bool arePairs = WritesPairs || Merges.Any(merge => Vocabulary[merge.Left]!.Contains(' ') || Vocabulary[merge.Right]!.Contains(' '));
        foreach ((int left, int right, _) in Merges)
            if (arePairs)
            {
                json.WriteStartArray();
                json.WriteStringValue(Vocabulary[left]);
                json.WriteStringValue(Vocabulary[right]);
                json.WriteEndArray();
            }
            else
            {
                json.WriteStringValue($"{Vocabulary[left]} {Vocabulary[right]}");
            }
        json.WriteEndArray();
    }

    /// <inheritdoc/>
    public override void Describe(BinaryWriter writer)
    {
        writer.Write(Does.ToString());
        foreach ((int left, int right, int merged) in Merges)
        {
            writer.Write(left);
            writer.Write(right);
            writer.Write(merged);
        }
    }

    /// <summary>
    /// Merges by score, as SentencePiece has them: of all pairs of neighbours that join to a piece, the one of the best score merges first, of equals the leftmost.
    /// </summary>
    public static Dictionary<(int Left, int Right), Merge> MergesByScore(Vocabulary vocabulary, Func<int, float> score, Func<int, bool> isNormal)
    {
        Dictionary<(int, int), Merge> merges = [];
        foreach ((string piece, int id) in vocabulary.Entries)
        {
            if (!isNormal(id))
                continue;
            if (float.IsNaN(score(id)))
                throw new CoppiceException($"the score of token {id} is NaN");
            for (int at = 1; at < piece.Length; at++)
                if (!char.IsLowSurrogate(piece[at]) && vocabulary.Find(piece.AsSpan(0, at)) is { } left && vocabulary.Find(piece.AsSpan(at)) is { } right && isNormal(left) && isNormal(right))
                    merges[(left, right)] = new Merge(-score(id), id);
        }
        return merges;
    }
}
