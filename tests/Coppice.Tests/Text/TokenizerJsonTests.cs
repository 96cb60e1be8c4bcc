using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;

namespace Coppice.Tests.Text;

public class TokenizerJsonTests
{
    static readonly ByteLevelBpe Trained = BpeTrainer.Train(HostileText.Samples, new BpeTraining { VocabularySize = 300, SpecialTokens = ["<s>", "</s>"] });

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
        JsonNode template = JsonNode.Parse("""{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"</s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{}}""")!;
        using TemporaryFolder folder = new();
        Write(folder["tokenizer.json"], json => json["post_processor"] = template);
        Tokenizer loaded = Tokenizer.Load(folder.Path);
        Assert.Equal(1, loaded.BosId);
        loaded.Save(folder["again"]);
        Assert.True(JsonNode.DeepEquals(template, JsonNode.Parse(File.ReadAllText(folder["again/tokenizer.json"]))!["post_processor"]));
    }

    [Theory]
    [InlineData("model", """{"type":"Unigram","vocab":[]}""", "the model is Unigram; only byte-level BPE is supported")]
    [InlineData("normalizer", """{"type":"NFC"}""", "the normalizer NFC is not supported; only none is")]
    [InlineData("pre_tokenizer", """{"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"ByteLevel"}]}""", "the pre-tokenizer is Sequence (Digits, ByteLevel); only ByteLevel, GPT-2's, is supported")]
    [InlineData("pre_tokenizer", "null", "the pre-tokenizer is absent; only ByteLevel, GPT-2's, is supported")]
    [InlineData("pre_tokenizer", """{"type":"ByteLevel","add_prefix_space":true}""", "the pre-tokenizer ByteLevel has add_prefix_space: true, which is not supported")]
    [InlineData("pre_tokenizer", """{"type":"ByteLevel","use_regex":false}""", "the pre-tokenizer ByteLevel has use_regex: false, which is not supported")]
    [InlineData("decoder", """{"type":"Metaspace"}""", "the decoder is Metaspace; only ByteLevel is supported")]
    [InlineData("post_processor", """{"type":"RobertaProcessing"}""", "the post-processor is RobertaProcessing; only ByteLevel and TemplateProcessing are supported")]
    [InlineData("model.byte_fallback", "true", "the model has byte_fallback: true, which is not supported")]
    [InlineData("model.end_of_word_suffix", "\"</w>\"", "the model has end_of_word_suffix '</w>', which is not supported")]
    [InlineData("model.merges", """["a b c"]""", "the merge \"a b c\" is not two tokens")]
    [InlineData("model.merges", """["a zzz"]""", "the merge \"a zzz\" needs the token 'zzz', which the vocabulary has not")]
    [InlineData("model.vocab", """{"a": 7}""", "token 'a' has id 7; the 3 ids must be 0 to 2, each once")]
    [InlineData("added_tokens", """[{"id":0,"content":"<s>","lstrip":true}]""", "added token '<s>' has lstrip: true, which is not supported")]
    [InlineData("added_tokens", """[{"id":0,"content":"\n\u001b","lstrip":true}]""", "added token '??' has lstrip: true, which is not supported")]
    [InlineData("added_tokens", """[{"id":4,"content":"<s>"}]""", "added token 4, '<s>', is empty or has another id in the vocabulary")]
    public void What_is_not_supported_is_refused_by_name(string path, string value, string message)
    {
        using TemporaryFolder folder = new();
        Write(folder["tokenizer.json"], json =>
        {
            string[] names = path.Split('.');
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
        Assert.Equal($"'{folder.Path}' holds no tokenizer: looked for tokenizer.json and tokenizer.bin", Assert.Throws<CoppiceException>(() => Tokenizer.Load(folder.Path)).Message);
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
