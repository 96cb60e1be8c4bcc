using System.Text;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;

namespace Coppice.Tests.Text;

/// <summary>Tokenizers of each type, small enough to follow by hand; ids and texts are what Hugging Face's library gives.</summary>
public class TokenizerPipelineTests
{
    internal const string Bert = """
        {
          "version": "1.0", "truncation": {"max_length": 512, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}, "padding": null,
          "added_tokens": [
            {"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 1, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 2, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 3, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 4, "content": "[MASK]", "single_word": false, "lstrip": true, "rstrip": false, "normalized": false, "special": true}
          ],
          "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
          "pre_tokenizer": {"type": "BertPreTokenizer"},
          "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
          "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
          "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 10,
            "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "un": 5, "##aff": 6, "##able": 7, "cafe": 8, "中": 9, ",": 10, "##a": 11, "a": 12}}
        }
        """;

    internal const string T5 = """
        {
          "added_tokens": [{"id": 0, "content": "<pad>", "special": true}, {"id": 1, "content": "</s>", "special": true}, {"id": 2, "content": "<unk>", "special": true}],
          "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Strip", "strip_left": false, "strip_right": true}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]},
          "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
          "post_processor": null,
          "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
          "model": {"type": "Unigram", "unk_id": 2, "byte_fallback": false,
            "vocab": [["<pad>", 0], ["</s>", 0], ["<unk>", 0], ["▁", -3], ["a", -2], ["b", -2.5], ["ab", -4], ["▁a", -2.2], ["abc", -9], ["c", -4], ["1", -3]]}
        }
        """;

    const string Llama = """
        {
          "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
          "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
          "pre_tokenizer": null,
          "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
          "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
          "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": {VOCAB}, "merges": ["▁ a", "a b", "▁ ab", "▁a b"]}
        }
        """;

    internal static string LlamaJson => Llama.Replace("VOCAB", "\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2, " + string.Concat(Enumerable.Range(0, 256).Select(value => $"\"<0x{value:X2}>\": {value + 3}, "))
        + "\"▁\": 259, \"a\": 260, \"b\": 261, \"▁a\": 262, \"ab\": 263, \"▁ab\": 264", StringComparison.Ordinal);

    internal static Tokenizer Read(string json)
    {
        TokenizerParts parts = TokenizerJson.Read(Encoding.UTF8.GetBytes(json));
        return new Tokenizer(parts);
    }

    [Fact]
    public void WordPiece_takes_the_longest_token_at_each_place_after_BERTs_cleaning()
    {
        Tokenizer bert = Read(Bert);
        Assert.Equal([5, 6, 7], bert.Encode("Unaffable"));
        Assert.Equal([8, 10, 9, 12], bert.Encode("CAFÉ\u0000,中\ta"));
        Assert.Equal([1], bert.Encode("unx"));
        Assert.Equal([1], bert.Encode(new string('a', 11)));
        Assert.Equal("unaffable, cafe", bert.Decode([5, 6, 7, 10, 8]));
        Assert.Equal("WordPiece", bert.Kind);
    }

    [Fact]
    public void A_template_puts_tokens_around_one_text_or_two()
    {
        TokenSequence pair = Read(Bert).EncodeForModel("a", "cafe");
        Assert.Equal([2, 12, 3, 8, 3], pair.Ids);
        Assert.Equal([0, 0, 0, 1, 1], pair.TypeIds);
        Assert.Equal([2, 12, 3], Read(Bert).EncodeForModel("a").Ids);
    }

    [Fact]
    public void A_marker_takes_the_blanks_beside_it_where_its_flags_say_so()
    {
        Tokenizer bert = Read(Bert);
        Assert.Equal([12, 4, 12], bert.Encode("a   [MASK] a", SpecialMarkers.Parse));
        Assert.DoesNotContain(4, bert.Encode("a [MASK] a"));
        Tokenizer words = Read(Bert.Replace("\"[MASK]\", \"single_word\": false", "\"[MASK]\", \"single_word\": true", StringComparison.Ordinal));
        Assert.DoesNotContain(4, words.Encode("a[MASK]", SpecialMarkers.Parse));
        Assert.Contains(4, words.Encode("a [MASK],", SpecialMarkers.Parse));
    }

    [Fact]
    public void Unigram_takes_the_likeliest_cut()
    {
        Tokenizer t5 = Read(T5);
        Assert.Equal([7, 5], t5.Encode("ab"));              // ▁a b: -4.7; ▁ ab: -7
        Assert.Equal([7, 5, 9], t5.Encode("abc"));          // ▁a b c: -8.7; ▁ abc: -12
        Assert.Equal([7, 2, 7], t5.Encode("azz a"));        // unknown characters in a row are one
        Assert.Equal([3, 10, 7], t5.Encode("① \u00A0a "));  // NFKC, then blanks in a row become one
        Assert.Equal("ab a", t5.Decode([7, 5, 7]));
    }

    [Fact]
    public void A_text_never_spells_a_control_token()
    {
        Assert.DoesNotContain(1, Read(T5).Encode("</s> ＜/s＞"));
        Assert.DoesNotContain(1, Read(T5).Encode("＜/s＞", SpecialMarkers.Parse));
        Assert.DoesNotContain(1, Read(LlamaJson).Encode("<s>"));
        Assert.Contains(1, Read(T5).Encode("</s>", SpecialMarkers.Parse));
    }

    [Fact]
    public void Byte_fallback_spells_what_is_no_token_and_decodes_it_again()
    {
        Tokenizer llama = Read(LlamaJson);
        Assert.Equal([264, 259, 3 + 0xE2, 3 + 0x82, 3 + 0xAC], llama.Encode("ab €"));
        Assert.Equal("ab €", llama.Decode(llama.Encode("ab €")));
        Assert.Equal([1, 262], llama.EncodeForModel("a").Ids);
        Assert.Equal("a \uFFFD", llama.Decode([1, 262, 259, 3 + 0xE2, 3 + 0x82]));
        Assert.Equal("<0x41>", llama.Decode(llama.Encode("<0x41>")));
    }

    [Fact]
    public void Decoding_token_by_token_gives_the_same_text()
    {
        foreach (Tokenizer tokenizer in (Tokenizer[])[Read(LlamaJson), Read(Bert)])
        {
            int[] ids = [.. tokenizer.Encode("a ab €, b"), tokenizer.Find(",") ?? 260];
            List<byte> bytes = [];
            for (int i = 0; i < ids.Length; i++)
                bytes.AddRange(tokenizer.Bytes(i == 0 ? null : ids[i - 1], ids[i]));
            Assert.Equal(tokenizer.Decode(ids), Encoding.UTF8.GetString([.. bytes]));
            Assert.Equal(bytes.Count, tokenizer.ByteCount(ids));
        }
    }

    [Theory]
    [InlineData(Bert)]
    [InlineData(T5)]
    public void What_was_read_is_written_back(string json)
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["tokenizer.json"], json);
        File.WriteAllText(folder["tokenizer_config.json"], """{"eos_token": {"content": "[SEP]x"}, "model_max_length": 77}""".Replace("[SEP]x", json == Bert ? "[SEP]" : "</s>", StringComparison.Ordinal));
        File.WriteAllText(folder["chat_template.jinja"], "{{ messages[0].content }}!");
        Tokenizer tokenizer = Tokenizer.Load(folder.Path);
        tokenizer.Save(folder["saved"]);
        JsonObject wanted = JsonNode.Parse(json)!.AsObject(), found = JsonNode.Parse(File.ReadAllText(folder["saved/tokenizer.json"]))!.AsObject();
        foreach ((string name, JsonNode? value) in wanted)
            if (name != "added_tokens")
                Assert.True(JsonNode.DeepEquals(value, found[name]), name);
        Assert.Equal(wanted["added_tokens"]!.AsArray().Count, found["added_tokens"]!.AsArray().Count);
        Assert.Equal(File.ReadAllText(folder["tokenizer_config.json"]), File.ReadAllText(folder["saved/tokenizer_config.json"]));
        Tokenizer again = Tokenizer.Load(folder["saved"]);
        Assert.Equal((tokenizer.Hash, tokenizer.EosId), (again.Hash, again.EosId));
        Assert.Equal("Hi!", again.ChatTemplate!.Render([new("user", "Hi")]));
    }

    [Fact]
    public void A_config_that_says_null_has_no_BOS()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["tokenizer.json"], Bert);
        Assert.Equal(2, Tokenizer.Load(folder.Path).BosId);
        File.WriteAllText(folder["tokenizer_config.json"], """{"bos_token": null}""");
        Assert.Null(Tokenizer.Load(folder.Path).BosId);
        File.WriteAllText(folder["tokenizer_config.json"], """{"bos_token": "<nope>"}""");
        Assert.Contains("tokenizer_config.json names '<nope>' as bos_token, but there is no such token", Assert.Throws<CoppiceException>(() => Tokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Words_of_a_million_characters_are_encoded_soon_by_every_model()
    {
        string text = string.Concat(Enumerable.Repeat("ab", 500_000));
        Assert.Equal([1], Read(Bert).Encode(text));
        Assert.NotEmpty(Read(Bert.Replace("\"max_input_chars_per_word\": 10", "\"max_input_chars_per_word\": 2000000000", StringComparison.Ordinal)).Encode(new string('a', 1_000_000)));
        Assert.Equal(500_001, Read(T5).Encode(text).Length);
        Assert.NotEmpty(Read(LlamaJson).Encode(text));
    }

    [Fact]
    public void Mutations_of_a_file_are_read_or_refused_in_one_line()
    {
        Random random = new(9);
        byte[][] files = [Encoding.UTF8.GetBytes(Bert), Encoding.UTF8.GetBytes(T5), Encoding.UTF8.GetBytes(Llama.Replace("VOCAB", "\"▁\": 0, \"a\": 1, \"b\": 2, \"▁a\": 3, \"ab\": 4, \"▁ab\": 5", StringComparison.Ordinal))];
        using TemporaryFolder folder = new();
        for (int i = 0; i < 1500; i++)
        {
            byte[] bytes = [.. files[i % 3]];
            for (int j = random.Next(1, 4); j > 0; j--)
                bytes[random.Next(bytes.Length)] = (byte)"{}[]\":,0129 aeltru-"[random.Next(19)];
            File.WriteAllBytes(folder["tokenizer.json"], bytes);
            try
            {
                Tokenizer.Load(folder["tokenizer.json"]).Encode("ab <s> [MASK] é");
            }
            catch (CoppiceException error)
            {
                Assert.DoesNotContain('\n', error.Message);
            }
        }
    }
}
