using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Text.Normalizers;
using Coppice.Text.PreTokenizers;
using Coppice.Text.SentencePiece;
using Coppice.Text.TokenModels;

namespace Coppice.Models;

/// <summary>SentencePiece vocabularies in GGUF: pieces, scores, and how texts are rewritten.</summary>
static class GgufSentencePiece
{
    const string Prefix = "tokenizer.ggml.", AddPrefix = Prefix + "add_space_prefix", RemoveExtra = Prefix + "remove_extra_whitespaces", Map = Prefix + "precompiled_charsmap";

    /// <summary>A vocabulary as file has it. Without keys that say otherwise, texts get a space in front and lose none.</summary>
    public static TokenizerParts Read(Gguf file, string[] tokens, int[] types, SentencePieceModel model, int? unknown)
    {
        float[] scores = file.Get<float[]>(Prefix + "scores");
        if (scores.Length < tokens.Length)
            throw new CoppiceException($"{scores.Length} scores for {tokens.Length} tokens");
        PieceKind[] kinds = [.. tokens.Select((_, id) => types[id] == 0 ? PieceKind.Normal : (PieceKind)types[id])];
        if (unknown is { } id && id < kinds.Length)
            kinds[id] = PieceKind.Unknown;
        return new SentencePieceVocabulary
        {
            Model = model,
            // llama2.c's own converter left spaces as they are
            Pieces = [.. tokens.Select((token, id) => kinds[id] == PieceKind.Normal ? token.Replace(' ', SentencePieceVocabulary.Space) : token)],
            Scores = scores[..tokens.Length],
            Kinds = kinds,
            Normalizer = new SentencePieceNormalizer(file.Metadata.ContainsKey(Map) ? new PrecompiledMap(file.Get<byte[]>(Map)) : null, file.Get(AddPrefix, true), file.Get(RemoveExtra, model == SentencePieceModel.Unigram), EscapesSpaces: true),
        }.ToParts();
    }

    /// <summary>The keys of a BPE: scores fall with the rank of the merge that makes a piece.</summary>
    public static List<KeyValuePair<string, object>> Write(TokenizerParts parts, Bpe bpe, string[] tokens, int[] types)
    {
        bool? addsSpace = parts.Normalizer switch
        {
            SentencePieceNormalizer { Map: null, RemovesExtraSpaces: false, EscapesSpaces: true } own => own.AddsPrefix,
            NormalizerSequence { Parts: [Prepend { Text: "\u2581" }, Replace { Pattern: Text.Patterns.LiteralPattern { Text: " " }, Content: "\u2581" }] } => true,
            Replace { Pattern: Text.Patterns.LiteralPattern { Text: " " }, Content: "\u2581" } => false,
            null when parts.PreTokenizer is Metaspace { Replacement: SentencePieceVocabulary.Space } metaspace => metaspace.Scheme != PrependScheme.Never,
            _ => null,
        };
        // once spaces are visible nothing is left that could be cut at a space
        bool isWhole = parts.PreTokenizer is null or Metaspace { Splits: false } or PatternSplit { Pattern: Text.Patterns.LiteralPattern { Text: " " } };
        if (addsSpace is null || !isWhole || !bpe.Does.FallsBackToBytes || bpe.Does.IgnoresMerges || bpe.Does.Prefix.Length + bpe.Does.Suffix.Length > 0)
            throw new CoppiceException($"llama.cpp has no tokenizer that cuts texts as this one does: {parts.Normalizer?.ToString() ?? "no normalizer"}; {parts.PreTokenizer?.ToString() ?? "no pre-tokenizer"}; {bpe.Does}");
        SetBytesAndUnknown(tokens, types, bpe.Does.Unknown);
        float[] scores = new float[tokens.Length];
        float rank = 0;
        List<(int Left, int Right)> order = [];
        foreach ((int left, int right, int merged) in bpe.Merges)
        {
            rank--;
            order.Add((left, right));
            if (scores[merged] == 0)
                scores[merged] = rank;
        }
        Dictionary<(int Left, int Right), Merge> byScore = Bpe.MergesByScore(bpe.Vocabulary, id => scores[id], id => types[id] == (int)PieceKind.Normal);
        if (byScore.Count != order.Count || order.Any(pair => !byScore.ContainsKey(pair)) || order.Zip(order.Skip(1)).Any(pair => byScore[pair.First].Order > byScore[pair.Second].Order))
            throw new CoppiceException("the tokenizer's merges are in no order that scores of pieces could give, and llama.cpp knows only scores");
        return [new(Prefix + "model", "llama"), new(Prefix + "scores", scores), new(AddPrefix, addsSpace.Value)];
    }

    /// <summary>The keys of a Unigram model.</summary>
    public static List<KeyValuePair<string, object>> Write(TokenizerParts parts, Unigram unigram, string[] tokens, int[] types)
    {
        IReadOnlyList<Normalizer> steps = parts.Normalizer is NormalizerSequence sequence ? sequence.Parts : parts.Normalizer is null ? [] : [parts.Normalizer];
        PrecompiledMap? map = steps.OfType<Precompiled>().FirstOrDefault()?.Map ?? steps.OfType<SentencePieceNormalizer>().FirstOrDefault()?.Map;
        bool removesExtra = steps.Any(step => step is SentencePieceNormalizer { RemovesExtraSpaces: true } or Replace { Content: " " or "\u2581" });
        if (steps.FirstOrDefault(step => step is not (Precompiled or SentencePieceNormalizer or Strip or Replace { Content: " " or "\u2581" })) is { } other)
            throw new CoppiceException($"llama.cpp's Unigram tokenizer knows no {other}");
        bool? addsSpace = parts.PreTokenizer is null && steps is [SentencePieceNormalizer own] ? own.AddsPrefix
            : (parts.PreTokenizer is PreTokenizerSequence { Parts: [.., var last] } ? last : parts.PreTokenizer) is Metaspace { Replacement: SentencePieceVocabulary.Space } metaspace ? metaspace.Scheme != PrependScheme.Never : null;
        if (addsSpace is null)
            throw new CoppiceException($"llama.cpp has no tokenizer that cuts texts as this one does: {parts.PreTokenizer?.ToString() ?? "no pre-tokenizer"}");
        SetBytesAndUnknown(tokens, types, unigram.Unknown);
        List<KeyValuePair<string, object>> keys =
        [
            new(Prefix + "model", "t5"),
            new(Prefix + "scores", tokens.Select((_, id) => (float)unigram.Score(id)).ToArray()),
            new(AddPrefix, addsSpace.Value),
            new(RemoveExtra, removesExtra),
        ];
        if (map is not null)
            keys.Add(new(Map, map.Bytes));
        if (unigram.Unknown is { } unknown)
            keys.Add(new(Prefix + "unknown_token_id", (uint)unknown));
        return keys;
    }

    static void SetBytesAndUnknown(string[] tokens, int[] types, int? unknown)
    {
        for (int id = 0; id < tokens.Length; id++)
            if (tokens[id] is ['<', '0', 'x', var high, var low, '>'] && char.IsAsciiHexDigit(high) && char.IsAsciiHexDigit(low) && types[id] == (int)PieceKind.Normal)
                types[id] = (int)PieceKind.Byte;
        if (unknown is { } token)
            types[token] = (int)PieceKind.Unknown;
    }
}
