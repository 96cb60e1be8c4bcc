using System.Text;
using System.Text.Json;

namespace Coppice.Text.TokenModels;

/// <summary>
/// WordPiece (Schuster and Nakajima 2012) as BERT has it: again and again the longest token that the rest of a word begins with; behind the first, tokens carry a prefix. A word that cannot be covered is unknown as a whole.
/// </summary>
sealed class WordPiece : TokenModel
{
    readonly int? unknown;
    readonly string prefix;
    readonly int maxCharacters;
    readonly PrefixIndex first, continuing;

    public WordPiece(Vocabulary vocabulary, int? unknown, string prefix, int maxCharacters, JsonElement json) : base(vocabulary, json)
    {
        (this.unknown, this.prefix, this.maxCharacters) = (unknown, prefix, maxCharacters);
        first = new PrefixIndex(vocabulary.Entries);
        continuing = new PrefixIndex(vocabulary.Entries.Where(entry => entry.Token.StartsWith(prefix, StringComparison.Ordinal)).Select(entry => (entry.Token[prefix.Length..], entry.Id)));
    }

    public static WordPiece From(JsonPart part)
    {
        part.Only("vocab", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word");
        Vocabulary vocabulary = Vocabulary.Read(part.Get("vocab"));
        return new WordPiece(vocabulary, vocabulary.Find(part.Text("unk_token", "[UNK]")), part.Text("continuing_subword_prefix", "##"), part.Integer("max_input_chars_per_word", 100), OptionsOf(part, "vocab"));
    }

    /// <inheritdoc/>
    public override string Kind => "WordPiece";

    /// <summary>In front of tokens that go on with a word.</summary>
    public string Prefix => prefix;

    /// <inheritdoc/>
    protected internal override void EncodeWord(ReadOnlySpan<char> word, bool areBytes, List<int> ids)
    {
        int start = ids.Count;
        List<(int Length, int Id)> found = [];
        int characters = 0;
        foreach (Rune _ in word.EnumerateRunes())
            characters++;
        int at = characters > maxCharacters ? -1 : 0;
        while (at >= 0 && at < word.Length)
        {
            found.Clear();
            (at == 0 ? first : continuing).Find(word[at..], found);
            int best = found.Count - 1;
            while (best >= 0 && (Control.Contains(found[best].Id) || Splits(word, at + found[best].Length)))
                best--;
            if (best >= 0)
                ids.Add(found[best].Id);
            at = best < 0 ? -1 : at + found[best].Length;
        }
        if (at >= 0)
            return;
        ids.RemoveRange(start, ids.Count - start);
        ids.Add(unknown ?? throw new Tensors.CoppiceException($"The tokenizer has no token for '{word}' and none for what is unknown"));
    }

    static bool Splits(ReadOnlySpan<char> word, int at) => at < word.Length && char.IsLowSurrogate(word[at]);

    /// <inheritdoc/>
    public override void WriteVocabulary(Utf8JsonWriter json)
    {
        json.WriteStartObject("vocab");
        foreach ((string token, int id) in Vocabulary.Entries)
            json.WriteNumber(token, id);
        json.WriteEndObject();
    }

    /// <inheritdoc/>
    public override void Describe(BinaryWriter writer) => writer.Write($"{unknown} {prefix} {maxCharacters}");
}
