using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Text.TokenModels;

/// <summary>A word is a token or unknown.</summary>
sealed class WordLevel : TokenModel
{
    readonly int? unknown;

    WordLevel(Vocabulary vocabulary, int? unknown, JsonElement json) : base(vocabulary, json) => this.unknown = unknown;

    public static WordLevel From(JsonPart part)
    {
        part.Only("vocab", "unk_token");
        Vocabulary vocabulary = Vocabulary.Read(part.Get("vocab"));
        return new WordLevel(vocabulary, vocabulary.Find(part.Text("unk_token", "<unk>")), OptionsOf(part, "vocab"));
    }

    /// <inheritdoc/>
    public override string Kind => "words";

    /// <inheritdoc/>
    protected internal override void EncodeWord(ReadOnlySpan<char> word, bool areBytes, List<int> ids) =>
        ids.Add(Find(word) ?? unknown ?? throw new CoppiceException($"The tokenizer has no token for '{word}' and none for what is unknown"));

    /// <inheritdoc/>
    public override void WriteVocabulary(Utf8JsonWriter json)
    {
        json.WriteStartObject("vocab");
        foreach ((string token, int id) in Vocabulary.Entries)
            json.WriteNumber(token, id);
        json.WriteEndObject();
    }

    /// <inheritdoc/>
    public override void Describe(BinaryWriter writer) => writer.Write($"{unknown}");
}
