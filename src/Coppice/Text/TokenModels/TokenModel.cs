using System.Collections.Concurrent;
using System.Text.Json;
using Coppice.Text.PreTokenizers;

namespace Coppice.Text.TokenModels;

/// <summary>Encodes one word at a time. Safe for use from several threads.</summary>
abstract class TokenModel
{
    const int CachedWords = 1 << 16, CachedLength = 64;

    readonly ConcurrentDictionary<string, int[]> cache = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> lookup;
    int cached;

    /// <param name="vocabulary">Every token of the model.</param>
    /// <param name="options">The fields of "model" other than vocabulary and merges.</param>
    private protected TokenModel(Vocabulary vocabulary, JsonElement options)
    {
        (Vocabulary, Options) = (vocabulary, options);
        lookup = cache.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>Every token of the model.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>The fields of "model" other than vocabulary and merges, kept for writing them back.</summary>
    public JsonElement Options { get; }

    /// <summary>What users call it: "byte-level BPE" is a BPE whose words are bytes.</summary>
    public abstract string Kind { get; }

    /// <summary>Ids of control tokens, which no spelling in a text may stand for; set once, before anything is encoded.</summary>
    public HashSet<int> Control { get; set; } = [];

    /// <summary>Appends the ids of every piece.</summary>
    public void Encode(Pieces pieces, List<int> ids)
    {
        if (!TakesBytes)
            pieces.SpellBytes();
        for (int i = 0; i < pieces.Count; i++)
        {
            ReadOnlySpan<char> word = pieces[i];
            if (lookup.TryGetValue(word, out int[]? known))
            {
                ids.AddRange(known);
                continue;
            }
            int start = ids.Count;
            EncodeWord(word, pieces.AreBytes, ids);
            if (word.Length <= CachedLength && Volatile.Read(ref cached) < CachedWords && lookup.TryAdd(word, [.. ids[start..]]))
                Interlocked.Increment(ref cached);
        }
    }

    /// <summary>Whether <see cref="EncodeWord"/> takes words whose bytes are not spelled out yet.</summary>
    protected virtual bool TakesBytes => false;

    /// <summary>Appends the ids of a word, whose UTF-8 bytes stand for their spelling where <paramref name="areBytes"/> says so.</summary>
    protected internal abstract void EncodeWord(ReadOnlySpan<char> word, bool areBytes, List<int> ids);

    /// <summary>Writes the fields of vocabulary and merges.</summary>
    public abstract void WriteVocabulary(Utf8JsonWriter json);

    /// <summary>Adds to what names the tokenizer all that decides how a word is encoded.</summary>
    public abstract void Describe(BinaryWriter writer);

    /// <summary>The id of a token that a text may stand for.</summary>
    protected int? Find(ReadOnlySpan<char> token) => Vocabulary.Find(token) is { } id && !Control.Contains(id) ? id : null;

    /// <summary>Reads a "model".</summary>
    public static TokenModel Read(JsonPart part)
    {
        // files from before 2020 give the model no type
        string type = part.Find("type") is null ? Guess(part) : part.Type();
        return type switch
        {
            "BPE" => BpeJson.Read(part),
            "WordPiece" => WordPiece.From(part),
            "WordLevel" => WordLevel.From(part),
            "Unigram" => Unigram.From(part),
            _ => throw part.Error($"has type '{type}', which is no model that we know: BPE, WordPiece, WordLevel, Unigram"),
        };
    }

    static string Guess(JsonPart part) => part.Find("merges") is not null ? "BPE" : part.Find("max_input_chars_per_word") is not null ? "WordPiece" : part.Find("unk_id") is not null ? "Unigram" : "WordLevel";

    /// <summary>An object's fields but for some, as an object of its own.</summary>
    public static JsonElement OptionsOf(JsonPart part, params ReadOnlySpan<string> without)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            json.WriteStartObject();
            foreach (JsonProperty field in part.Element.EnumerateObject())
                if (!without.Contains(field.Name))
                    field.WriteTo(json);
            json.WriteEndObject();
        }
        using JsonDocument document = JsonDocument.Parse(stream.ToArray());
        return document.RootElement.Clone();
    }
}
