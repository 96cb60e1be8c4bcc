using System.Text.Json;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Text.Normalizers;
using Coppice.Text.PreTokenizers;
using Coppice.Text.SentencePiece;
using Coppice.Text.TokenModels;

namespace Coppice.Models;

/// <summary>WordPiece vocabularies in GGUF: a token that begins a word has U+2581 in front, one that goes on with it has none, and texts are in lower case without accents.</summary>
static class GgufWordPiece
{
    const string Prefix = "tokenizer.ggml.", Continuing = "##", Unknown = "[UNK]";

    static readonly (string Key, string Token)[] Roles = [("unknown_token_id", Unknown), ("seperator_token_id", "[SEP]"), ("padding_token_id", "[PAD]"), ("cls_token_id", "[CLS]"), ("mask_token_id", "[MASK]")];

    public static TokenizerParts Read(Gguf file, string[] tokens, int[] types)
    {
        Vocabulary vocabulary = new();
        List<AddedToken> added = [];
        for (int id = 0; id < tokens.Length; id++)
        {
            bool isSpecial = types[id] is (int)PieceKind.Control or (int)PieceKind.Unknown or (int)PieceKind.UserDefined;
            string token = isSpecial ? tokens[id] : tokens[id].StartsWith(SentencePieceVocabulary.Space) ? tokens[id][1..] : Continuing + tokens[id];
            if (types[id] != (int)PieceKind.Unused)
                vocabulary.Add(token, id);
            if (isSpecial)
                added.Add(new AddedToken(id, token, IsControl: types[id] != (int)PieceKind.UserDefined));
        }
        int? unknown = file.Metadata.ContainsKey(Prefix + Roles[0].Key) ? file.Get<int>(Prefix + Roles[0].Key) : vocabulary.Find(Unknown);
        string named = unknown is { } id0 && vocabulary[id0] is { } spelled ? spelled : throw new CoppiceException($"the vocabulary has no {Unknown}");
        using JsonDocument options = JsonDocument.Parse($$"""{"type": "WordPiece", "unk_token": "{{JsonEncodedText.Encode(named)}}", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}""");
        (int? start, int? end) = (vocabulary.Find("[CLS]"), vocabulary.Find("[SEP]"));
        string post = start is null || end is null ? "null" : $$"""{"type": "BertProcessing", "sep": ["[SEP]", {{end}}], "cls": ["[CLS]", {{start}}]}""";
        return TokenizerJson.Compose($$"""
            {
              "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
              "pre_tokenizer": {"type": "BertPreTokenizer"},
              "post_processor": {{post}},
              "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true}
            }
            """, new WordPiece(vocabulary, unknown, Continuing, 100, options.RootElement.Clone()), added);
    }

    public static List<KeyValuePair<string, object>> Write(TokenizerParts parts, WordPiece model, string[] tokens, int[] types)
    {
        string bert = PreTokenizer.Read(new JsonPart(JsonDocument.Parse("""{"type": "BertPreTokenizer"}""").RootElement)).ToString();
        if (parts.Normalizer is not BertNormalizer { Lowercase: true, StripAccents: true, HandleChineseChars: true } || parts.PreTokenizer?.ToString() != bert || model.Prefix != Continuing)
            throw new CoppiceException($"llama.cpp's WordPiece tokenizer takes lower case without accents, cut as BERT does, and this one is {parts.Normalizer?.ToString() ?? "no normalizer"}; {parts.PreTokenizer?.ToString() ?? "no pre-tokenizer"}; '{model.Prefix}'");
        for (int id = 0; id < tokens.Length; id++)
            if (types[id] == (int)PieceKind.Normal)
                tokens[id] = tokens[id].StartsWith(Continuing, StringComparison.Ordinal) ? tokens[id][Continuing.Length..] : SentencePieceVocabulary.Space + tokens[id];
        return
        [
            new(Prefix + "model", "bert"),
            .. from role in Roles let id = parts.Find(role.Token) where id is not null select new KeyValuePair<string, object>(Prefix + role.Key, (uint)id.Value),
        ];
    }
}
