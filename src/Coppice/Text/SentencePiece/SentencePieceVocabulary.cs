using System.Globalization;
using System.Text.Json;
using Coppice.Tensors;
using Coppice.Text.Normalizers;
using Coppice.Text.TokenModels;

namespace Coppice.Text.SentencePiece;

/// <summary>Which model a SentencePiece vocabulary is for; the numbers are those of its file.</summary>
enum SentencePieceModel
{
    Unigram = 1,
    Bpe = 2,
}

/// <summary>A vocabulary of SentencePiece (Kudo and Richardson 2018), from whatever file, and its translation into tokenizer.json's terms.</summary>
sealed record SentencePieceVocabulary
{
    /// <summary>The visible space.</summary>
    public const char Space = '\u2581';

    /// <summary>What encodes.</summary>
    public required SentencePieceModel Model { get; init; }

    /// <summary>Spellings by id, with visible spaces.</summary>
    public required IReadOnlyList<string> Pieces { get; init; }

    /// <summary>Log probabilities, or the higher, the sooner merged.</summary>
    public required IReadOnlyList<float> Scores { get; init; }

    /// <summary>What pieces are for.</summary>
    public required IReadOnlyList<PieceKind> Kinds { get; init; }

    /// <summary>The token that starts a document.</summary>
    public int? Bos { get; init; }

    /// <summary>The token that ends a document.</summary>
    public int? Eos { get; init; }

    /// <summary>How a text is rewritten first.</summary>
    public SentencePieceNormalizer Normalizer { get; init; } = new(null, AddsPrefix: true, RemovesExtraSpaces: false, EscapesSpaces: true);

    /// <summary>
    /// The steps of a tokenizer. Its tokenizer.json, which cannot say all of it, differs in what Hugging Face does differently: maps are looked up by graphemes, and the merges of equal scores have an order.
    /// </summary>
    public TokenizerParts ToParts()
    {
        Vocabulary vocabulary = new();
        for (int piece = 0; piece < Pieces.Count; piece++)
            if (Kinds[piece] != PieceKind.Unused)
                vocabulary.Add(Pieces[piece], piece);
        for (int piece = 0; piece < Scores.Count; piece++)
            if (float.IsNaN(Scores[piece]))
                throw new CoppiceException($"the score of token {piece} is NaN");
        int? unknown = Kinds.Index().Where(kind => kind.Item == PieceKind.Unknown).Select(kind => (int?)kind.Index).FirstOrDefault();
        bool hasBytes = Enumerable.Range(0, 256).All(value => vocabulary.Find($"<0x{value:X2}>") is { } id && Kinds[id] == PieceKind.Byte);
        if (!hasBytes && unknown is null)
            throw new CoppiceException("the vocabulary has neither all 256 bytes nor an unknown token, which encoding falls back to");
        string fallsBack = hasBytes ? "true" : "false";
        TokenModel model = Model == SentencePieceModel.Bpe
            ? new Bpe(vocabulary, Bpe.MergesByScore(vocabulary, id => Scores[id], id => Kinds[id] == PieceKind.Normal),
                new BpeOptions { Unknown = unknown, FusesUnknown = true, FallsBackToBytes = hasBytes },
                Json($$"""{"type": "BPE", "dropout": null, "unk_token": {{(unknown is { } token ? Quoted(Pieces[token]) : "null")}}, "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": {{fallsBack}}, "ignore_merges": false}"""))
            : new Unigram(vocabulary, [.. Scores.Select(score => (double)score)], unknown, hasBytes, id => Kinds[id] is PieceKind.Normal or PieceKind.UserDefined, ScorePrecision.Single,
                Json($$"""{"type": "Unigram", "unk_id": {{unknown?.ToString(CultureInfo.InvariantCulture) ?? "null"}}, "byte_fallback": {{fallsBack}}}"""));
        TokenizerParts parts = TokenizerJson.Compose(Steps(), model, Added()) with { Roles = new TokenizerRoles { Bos = Bos, Eos = Eos } };
        return IsLlama ? parts : parts with { Normalizer = Normalizer, PreTokenizer = null };
    }

    // Llama 2's: BPE on the text as it is. tokenizer.json can say all of it.
    bool IsLlama => Model == SentencePieceModel.Bpe && Normalizer is { Map: null, RemovesExtraSpaces: false, EscapesSpaces: true };

    /// <summary>Pieces that are found before anything else: control and user-defined ones.</summary>
    List<AddedToken> Added() =>
    [
        .. Kinds.Index().Where(kind => kind.Item is PieceKind.Control or PieceKind.Unknown or PieceKind.UserDefined && Pieces[kind.Index].Length > 0)
            .Select(kind => new AddedToken(kind.Index, Pieces[kind.Index], IsControl: kind.Item != PieceKind.UserDefined)),
    ];

    string Steps()
    {
        List<string> normalizers = [];
        if (IsLlama && Normalizer.AddsPrefix)
            normalizers.Add("""{"type": "Prepend", "prepend": "▁"}""");
        if (IsLlama)
            normalizers.Add("""{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}""");
        if (Normalizer.Map is { } map)
            normalizers.Add($$"""{"type": "Precompiled", "precompiled_charsmap": "{{Convert.ToBase64String(map.Bytes)}}"}""");
        if (Normalizer.RemovesExtraSpaces)
            normalizers.Add("""{"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}""");
        string strip = Normalizer.AddsPrefix ? """, {"type": "Strip", "content": " ", "start": 1, "stop": 0}""" : "";
        string split = Model == SentencePieceModel.Bpe ? "false" : "true", scheme = Normalizer.AddsPrefix ? "first" : "never";
        return $$"""
            {
              "normalizer": {{(normalizers.Count == 0 ? "null" : $$"""{"type": "Sequence", "normalizers": [{{string.Join(", ", normalizers)}}]}""")}},
              "pre_tokenizer": {{(IsLlama ? "null" : $$"""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "{{scheme}}", "split": {{split}}}""")}},
              "post_processor": null,
              "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}{{strip}}]}
            }
            """;
    }

    static string Quoted(string text) => $"\"{JsonEncodedText.Encode(text)}\"";

    static JsonElement Json(string text)
    {
        using JsonDocument document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
