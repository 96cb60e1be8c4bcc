using System.Text.Json;
using System.Text.Json.Nodes;

namespace Coppice.Interop;

/// <summary>
/// tokenizer.json of each type, in the layout that the named model's file has, around a vocabulary that is counted from the corpus. Nothing here shares code with the reader that is tested.
/// </summary>
static class Recipes
{
    const string ByteLevel = """{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}""";
    const string Whole = """{"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}STRIP]}""";

    /// <summary>Name and file of each tokenizer.</summary>
    public static IEnumerable<(string Name, JsonObject File)> All(IReadOnlyList<string> corpus)
    {
        yield return ("gpt2", Bytes(corpus, "null", """{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}"""));
        yield return ("roberta", Bytes(corpus, "null", """{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}""", """{"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": true, "add_prefix_space": true}"""));
        yield return ("llama3", Bytes(corpus, "null", Cut(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), ignoresMerges: true));
        yield return ("qwen2", Bytes(corpus, """{"type": "NFC"}""", Cut(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")));
        yield return ("starcoder", Bytes(corpus, "null", """{"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]}"""));
        yield return ("bloom", Bytes(corpus, "null", Cut(@" ?[^(\s|[.,!?…。，、।۔،])]+")));
        yield return ("llama2", Spaced(corpus, """{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}""", "null", """, {"type": "Strip", "content": " ", "start": 1, "stop": 0}"""));
        yield return ("gemma", Spaced(corpus, """{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}""", """{"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false}""", ""));
        yield return ("bert", WordPieces(corpus, """{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}"""));
        yield return ("bert-cased", WordPieces(corpus, """{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": false, "lowercase": false}"""));
        yield return ("t5", Unigram(corpus, """{"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}""", fallsBack: false));
        yield return ("albert", Unigram(corpus, """{"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "``"}, "content": "\""}, {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": true, "strip_right": true}]}""", fallsBack: true));
        yield return ("words", WordLevel(corpus));
    }

    static JsonObject Bytes(IReadOnlyList<string> corpus, string normalizer, string preTokenizer, string postProcessor = "null", bool ignoresMerges = false)
    {
        List<string> tokens = ["<|endoftext|>", "<s>", "</s>", "<mask>"];
        // the 256 characters of GPT-2's alphabet
        int next = 256;
        for (int value = 0; value < 256; value++)
            tokens.Add(((char)(value is >= 0x21 and <= 0x7E or >= 0xA1 and <= 0xAC or >= 0xAE ? value : next++)).ToString());
        List<(string, string)> merges = [];
        foreach (string word in Frequent(corpus.SelectMany(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(word => word.All(letter => letter is > ' ' and < (char)0x7F)), 2000))
            Chain((word.Length % 2 == 0 ? "Ġ" : "") + word, tokens, merges);
        // ignore_merges shows where a word is a token that no merge makes
        if (ignoresMerges)
            tokens.AddRange(["Ġignoring", "qzx"]);
        string ignores = ignoresMerges ? "true" : "false";
        return File(normalizer, preTokenizer, postProcessor, """{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}""",
            $$"""{"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": {{ignores}}}""",
            [("<|endoftext|>", 0, true, false), ("<s>", 1, true, false), ("</s>", 2, true, false), ("<mask>", 3, true, true)], Vocabulary(tokens), Merges(merges));
    }

    static JsonObject Spaced(IReadOnlyList<string> corpus, string normalizer, string preTokenizer, string strip)
    {
        List<string> tokens = ["<unk>", "<s>", "</s>", .. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>"), "▁"];
        tokens.AddRange(Frequent(corpus.SelectMany(Characters), 300).Where(letter => letter is not (" " or "▁")));
        List<(string, string)> merges = [];
        foreach (string word in Frequent(corpus.SelectMany(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(word => word.Length < 12), 2000))
            Chain("▁" + word, tokens, merges);
        return File(normalizer, preTokenizer, """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}""",
            Whole.Replace("STRIP", strip, StringComparison.Ordinal),
            """{"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false}""",
            [("<unk>", 0, true, false), ("<s>", 1, true, false), ("</s>", 2, true, false)], Vocabulary(tokens), Merges(merges));
    }

    static JsonObject WordPieces(IReadOnlyList<string> corpus, string normalizer)
    {
        List<string> tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        string[] letters = [.. Frequent(corpus.SelectMany(Characters).Where(letter => !char.IsWhiteSpace(letter[0])), 400)];
        tokens.AddRange(letters);
        tokens.AddRange(letters.Select(letter => "##" + letter));
        foreach (string word in Frequent(corpus.SelectMany(line => line.ToLowerInvariant().Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(word => word.Length is > 2 and < 9 && word.All(char.IsLetter)), 1500))
            tokens.AddRange([word, "##" + word[1..]]);
        return File(normalizer, """{"type": "BertPreTokenizer"}""",
            """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}], "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}], "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}}""",
            """{"type": "WordPiece", "prefix": "##", "cleanup": true}""",
            """{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}""",
            [("[PAD]", 0, true, false), ("[UNK]", 1, true, false), ("[CLS]", 2, true, false), ("[SEP]", 3, true, false), ("[MASK]", 4, true, true)], Vocabulary(tokens), null);
    }

    static JsonObject Unigram(IReadOnlyList<string> corpus, string normalizer, bool fallsBack)
    {
        List<(string Token, double Score)> tokens = [("<pad>", 0), ("</s>", 0), ("<unk>", 0), ("▁", -2.5)];
        int rank = 0;
        foreach (string letter in Frequent(corpus.SelectMany(Characters), 250))
            if (letter is not (" " or "▁"))
                tokens.Add((letter, -3 - rank++ / 50.0));
        foreach (string word in Frequent(corpus.SelectMany(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(word => word.Length is > 1 and < 10), 2000))
            tokens.AddRange([("▁" + word, -4 - rank++ / 300.0), (word, -5 - rank / 300.0)]);
        if (fallsBack)
            tokens.AddRange(Enumerable.Range(0, 256).Select(value => ($"<0x{value:X2}>", 0.0)));
        JsonArray vocabulary = [.. tokens.DistinctBy(token => token.Token).Select(token => (JsonNode)new JsonArray(token.Token, token.Score))];
        return File(normalizer, """{"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}]}""",
            """{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}], "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}}""",
            """{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}""", $$"""{"type": "Unigram", "unk_id": 2, "byte_fallback": {{(fallsBack ? "true" : "false")}}}""",
            [("<pad>", 0, true, false), ("</s>", 1, true, false), ("<unk>", 2, true, false)], vocabulary, null);
    }

    static JsonObject WordLevel(IReadOnlyList<string> corpus)
    {
        List<string> tokens = ["[UNK]", .. Frequent(corpus.SelectMany(line => line.ToLowerInvariant().Split([' ', '.', ',', '(', ')'], StringSplitOptions.RemoveEmptyEntries)), 3000)];
        return File("""{"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}""", """{"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "Punctuation", "behavior": "MergedWithPrevious"}, {"type": "Digits", "individual_digits": false}]}""", "null", "null",
            """{"type": "WordLevel", "unk_token": "[UNK]"}""", [("[UNK]", 0, true, false)], Vocabulary(tokens), null);
    }

    // A word's prefixes as tokens, and the merges that make them one after another.
    static void Chain(string word, List<string> tokens, List<(string, string)> merges)
    {
        string[] letters = [.. Characters(word)];
        string made = letters[0];
        HashSet<string> known = [.. tokens];
        if (letters.Any(letter => !known.Contains(letter)))
            return;
        foreach (string letter in letters.Skip(1))
        {
            if (known.Add(made + letter))
            {
                tokens.Add(made + letter);
                merges.Add((made, letter));
            }
            made += letter;
        }
    }

    // U+0000 ends a token in llama.cpp, so that no vocabulary for it may hold one.
    static IEnumerable<string> Characters(string text) => text.EnumerateRunes().Where(rune => rune.Value != 0).Select(rune => rune.ToString());

    static IEnumerable<string> Frequent(IEnumerable<string> parts, int count) =>
        parts.GroupBy(part => part).OrderByDescending(group => group.Count()).ThenBy(group => group.Key, StringComparer.Ordinal).Take(count).Select(group => group.Key);

    static JsonObject Vocabulary(IEnumerable<string> tokens)
    {
        JsonObject vocabulary = [];
        foreach (string token in tokens)
            if (!vocabulary.ContainsKey(token))
                vocabulary[token] = vocabulary.Count;
        return vocabulary;
    }

    static JsonArray Merges(IEnumerable<(string Left, string Right)> merges) => [.. merges.Select(merge => (JsonNode)$"{merge.Left} {merge.Right}")];

    static string Cut(string pattern) => $$"""{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": {{JsonSerializer.Serialize(pattern)}}}, "behavior": "Isolated", "invert": false}, {{ByteLevel}}]}""";

    static JsonObject File(string normalizer, string preTokenizer, string postProcessor, string decoder, string options, (string Content, int Id, bool Special, bool StripsLeft)[] added, JsonNode vocabulary, JsonArray? merges)
    {
        JsonObject model = JsonNode.Parse(options)!.AsObject();
        model["vocab"] = vocabulary;
        if (merges is not null)
            model["merges"] = merges;
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. added.Select(token => (JsonNode)new JsonObject { ["id"] = token.Id, ["content"] = token.Content, ["single_word"] = false, ["lstrip"] = token.StripsLeft, ["rstrip"] = false, ["normalized"] = false, ["special"] = token.Special })]),
            ["normalizer"] = JsonNode.Parse(normalizer),
            ["pre_tokenizer"] = JsonNode.Parse(preTokenizer),
            ["post_processor"] = JsonNode.Parse(postProcessor),
            ["decoder"] = JsonNode.Parse(decoder),
            ["model"] = model,
        };
    }
}
