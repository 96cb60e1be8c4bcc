using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;

namespace Coppice.Tests.Text;

public class TokenizerJsonTests
{
    static readonly Tokenizer Trained = BpeTrainer.Train(HostileText.Samples, new BpeTraining { VocabularySize = 300, SpecialTokens = ["<s>", "</s>"] });

    [Fact]
    public void A_saved_tokenizer_loads_as_itself()
    {
        using TemporaryFolder folder = new();
        Trained.Save(folder.Path);
        Assert.Equal(["tokenizer.json", "tokenizer_config.json"], Directory.GetFiles(folder.Path).Select(Path.GetFileName).Order());
        foreach (string path in (string[])[folder.Path, folder["tokenizer.json"]])
        {
            Tokenizer loaded = Tokenizer.Load(path);
            Assert.Equal(Trained.Hash, loaded.Hash);
            Assert.Equal((0, 1), (loaded.BosId, loaded.EosId));
            Assert.Equal(HostileText.Samples.SelectMany(text => Trained.Encode(text)), HostileText.Samples.SelectMany(text => loaded.Encode(text)));
        }
    }

    [Fact]
    public void Merges_may_be_pairs()
    {
        Tokenizer loaded = Edited(json => json["model"]!["merges"] = new JsonArray([.. json["model"]!["merges"]!.AsArray().Select(merge =>
            (JsonNode)new JsonArray([.. merge!.GetValue<string>().Split(' ').Select(part => (JsonNode)part)]))]));
        Assert.Equal(Trained.Hash, loaded.Hash);
    }

    [Fact]
    public void The_hash_changes_with_a_token_or_the_order_of_merges()
    {
        Tokenizer swapped = Edited(json =>
        {
            JsonArray merges = json["model"]!["merges"]!.AsArray();
            JsonNode first = merges[0]!;
            merges.RemoveAt(0);
            merges.Add(first);
        });
        Assert.NotEqual(Trained.Hash, swapped.Hash);
        Assert.NotEqual(Trained.Hash, Edited(json => json["added_tokens"]![0]!["special"] = false).Hash);
    }

    [Fact]
    public void An_added_token_that_is_not_special_is_matched_in_every_text_the_longest_first()
    {
        Tokenizer loaded = Edited(json =>
        {
            json["added_tokens"]!.AsArray().Add(Added(300, "  "));
            json["added_tokens"]!.AsArray().Add(Added(301, "    "));
        });
        Assert.Equal([.. Trained.Encode("a"), 301, 300, .. Trained.Encode("b")], loaded.Encode("a      b"));
        Assert.Equal("a      b", loaded.Decode(loaded.Encode("a      b")));
        Assert.Equal(4, loaded.ByteCount(301));

        static JsonNode Added(int id, string content) => new JsonObject { ["id"] = id, ["content"] = content, ["special"] = false };
    }

    [Fact]
    public void A_template_names_BOS_and_is_written_back()
    {
        JsonNode template = JsonNode.Parse("""{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"</s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"</s>":{"id":"</s>","ids":[1],"tokens":["</s>"]}}}""")!;
        using TemporaryFolder folder = new();
        Write(folder["tokenizer.json"], json => json["post_processor"] = template);
        Tokenizer loaded = Tokenizer.Load(folder.Path);
        Assert.Equal(1, loaded.BosId);
        loaded.Save(folder["again"]);
        Assert.True(JsonNode.DeepEquals(template, JsonNode.Parse(File.ReadAllText(folder["again/tokenizer.json"]))!["post_processor"]));
    }

    [Theory]
    [InlineData("model", """{"type":"Neural","vocab":[]}""", "model has type 'Neural', which is no model that we know: BPE, WordPiece, WordLevel, Unigram")]
    [InlineData("normalizer", """{"type":"NFC","form":1}""", "normalizer.form is not known; no field is")]
    [InlineData("pre_tokenizer", """{"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"UnicodeScripts"}]}""", "pre_tokenizer.pretokenizers[1] has type 'UnicodeScripts', which is no pre-tokenizer that we know: Sequence, ByteLevel, Metaspace, Split, Whitespace, WhitespaceSplit, BertPreTokenizer, Punctuation, Digits, CharDelimiterSplit")]
    [InlineData("pre_tokenizer", """{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"}""", "pre_tokenizer.pattern.Regex is a pattern that cannot be used: at 2 it leaves a group open")]
    [InlineData("pre_tokenizer", """{"type":"Split","pattern":{"Regex":"\\p{Greek}"},"behavior":"Isolated"}""", "pre_tokenizer.pattern.Regex is a pattern that cannot be used: at 9 it has \\p{Greek}")]
    [InlineData("pre_tokenizer", """{"type":"Split","pattern":{"String":"a"},"behavior":"Torn"}""", "pre_tokenizer.behavior is 'Torn', wanted Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous")]
    [InlineData("pre_tokenizer", """{"type":"Metaspace","replacement":"▁▁"}""", "pre_tokenizer.replacement is not one character of the Basic Multilingual Plane")]
    [InlineData("decoder", """{"type":"Sequence","decoders":[{"type":"CTC"}]}""", "decoder.decoders[0] has type 'CTC', which joins sounds and not texts; it is not supported")]
    [InlineData("post_processor", """{"type":"Other"}""", "post_processor has type 'Other', which is no post-processor that we know: Sequence, TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel")]
    [InlineData("model.dropout", "0.1", "model.dropout is not 0: ids would be drawn at random")]
    [InlineData("model.beam", "3", "model.beam is not known; known are vocab, merges, dropout, unk_token, continuing_subword_prefix, end_of_word_suffix, fuse_unk, byte_fallback, ignore_merges")]
    [InlineData("model.merges", """["a b c"]""", "model.merges[0] is \"a b c\", wanted two tokens")]
    [InlineData("model.merges", """["a zzz"]""", "model.merges[0] needs the token 'zzz', which the vocabulary has not")]
    [InlineData("model.vocab", """{"a": 7, "b": 7}""", "model.vocab is wrong: token 'b' has id 7, which is 'a'")]
    [InlineData("model.vocab", """{"a": 4000000000}""", "model.vocab.a is 4000000000, wanted a whole number that is not negative")]
    [InlineData("model.vocab", """{"a": 400000000}""", "model.vocab is wrong: token 'a' has id 400000000, wanted less than 4,194,304")]
    [InlineData("model.vocab", """{"a": -1}""", "model.vocab.a is -1, wanted a whole number that is not negative")]
    [InlineData("added_tokens", """[{"id":4,"content":"<s>"}]""", "added_tokens[0] '<s>' has id 4, and 0 in the vocabulary")]
    [InlineData("added_tokens", """[{"id":4,"content":"\n\u001b"}]""", "added_tokens[0] '??' has id 4, which is '#' in the vocabulary")]
    [InlineData("added_tokens", """[{"id":900,"content":""}]""", "added_tokens[0] has no character, so that every text would hold it everywhere")]
    [InlineData("added_tokens", """[{"id":900,"content":"xx"},{"id":900,"content":"yy"}]""", "added_tokens[1] 'yy', id 900, is there twice")]
    [InlineData("extra", "1", "extra is not known; known are version, truncation, padding, added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model")]
    public void What_is_not_supported_is_refused_by_name(string path, string value, string message)
    {
        using TemporaryFolder folder = new();
        Write(folder["tokenizer.json"], json =>
        {
            string[] names = path.Split('.');
            if (path == "model.vocab")
                json["added_tokens"] = new JsonArray();
            (names.Length == 1 ? json : json[names[0]]!)[names[^1]] = JsonNode.Parse(value);
            if (path == "model.vocab")
                json["model"]!["merges"] = new JsonArray();
        });
        Assert.Equal($"{folder["tokenizer.json"]}: {message}", Assert.Throws<CoppiceException>(() => Tokenizer.Load(folder.Path)).Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[1]")]
    [InlineData("{}")]
    [InlineData("""{"model":{"type":"BPE","vocab":3}}""")]
    [InlineData("""{"model":{"type":3}}""")]
    public void A_damaged_file_is_one_clear_line(string text)
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["tokenizer.json"], text);
        string message = Assert.Throws<CoppiceException>(() => Tokenizer.Load(folder.Path)).Message;
        Assert.StartsWith(folder["tokenizer.json"] + ": ", message);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void A_folder_without_a_tokenizer_says_what_was_looked_for()
    {
        using TemporaryFolder folder = new();
        Assert.Equal($"'{folder.Path}' holds no tokenizer: looked for tokenizer.json, tokenizer.model, source.spm and tokenizer.bin", Assert.Throws<CoppiceException>(() => Tokenizer.Load(folder.Path)).Message);
    }

    [Fact]
    public void A_failed_save_leaves_no_file()
    {
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder["tokenizer.json"]);
        Assert.Throws<CoppiceException>(() => Trained.Save(folder.Path));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    static Tokenizer Edited(Action<JsonNode> edit)
    {
        using TemporaryFolder folder = new();
        Write(folder["tokenizer.json"], edit);
        return Tokenizer.Load(folder.Path);
    }

    static void Write(string path, Action<JsonNode> edit)
    {
        using MemoryStream stream = new();
        Trained.Files[0].Write(stream);
        JsonNode json = JsonNode.Parse(stream.ToArray())!;
        edit(json);
        File.WriteAllText(path, json.ToJsonString());
    }
}
