using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Text;
using Coppice.Text;

namespace Coppice.Tests.Models;

public class GgufVocabularyTests
{
    const string Llama3 = """{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}""";

    static readonly Tokenizer Gpt2 = BpeTrainer.Train(["the cat sat on the mat with the other cat"], new BpeTraining { VocabularySize = 270 });

    public static TheoryData<string> Kinds => ["gpt-2", "llama-bpe", "llama", "bert", "t5"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_tokenizer_comes_back_from_GGUF_with_the_same_ids_and_texts(string kind)
    {
        Tokenizer tokenizer = Of(kind);
        Tokenizer again = Through(GgufVocabulary.Write(tokenizer, tokenizer.Count + 5));
        Assert.Equal((tokenizer.Count, tokenizer.BosId, tokenizer.EosId, tokenizer.Kind), (again.Count, again.BosId, again.EosId, again.Kind));
        foreach (string text in (kind == "t5" ? [] : HostileText.Samples).Concat(["ab abc a  b", "Unaffable, café"]))
        {
            Assert.Equal(tokenizer.Encode(text), again.Encode(text));
            Assert.Equal(tokenizer.Decode(tokenizer.Encode(text)), again.Decode(again.Encode(text)));
        }
    }

    [Fact]
    public void A_tokenizer_that_tokenizer_json_can_say_in_full_keeps_its_hash()
    {
        foreach (string kind in (string[])["gpt-2", "llama-bpe", "llama"])
            Assert.Equal(Of(kind).Hash, Through(GgufVocabulary.Write(Of(kind), Of(kind).Count)).Hash);
    }

    [Fact]
    public void A_chat_template_goes_along()
    {
        Tokenizer tokenizer = new(Gpt2.Parts with { Roles = Gpt2.Parts.Roles with { ChatTemplate = "{{ messages[0].content }}?" } });
        Assert.Equal("Hi?", Through(GgufVocabulary.Write(tokenizer, tokenizer.Count)).ChatTemplate!.Render([new("user", "Hi")]));
    }

    [Fact]
    public void What_llama_cpp_cannot_cut_is_refused()
    {
        Tokenizer digits = TokenizerPipelineTests.Read(Json(Gpt2).Replace("\"pre_tokenizer\": {", "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"WhitespaceSplit\"}]}, \"x\": {", StringComparison.Ordinal).Replace("\"x\":", "\"padding\":", StringComparison.Ordinal).Replace("\"padding\": null,", "", StringComparison.Ordinal));
        Assert.StartsWith("llama.cpp has no tokenizer that cuts texts as this one does", Assert.Throws<CoppiceException>(() => GgufVocabulary.Write(digits, digits.Count).ToArray()).Message, StringComparison.Ordinal);
        Tokenizer cased = TokenizerPipelineTests.Read(TokenizerPipelineTests.Bert.Replace("\"lowercase\": true", "\"lowercase\": false", StringComparison.Ordinal));
        Assert.StartsWith("llama.cpp's WordPiece tokenizer takes lower case", Assert.Throws<CoppiceException>(() => GgufVocabulary.Write(cased, cased.Count).ToArray()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer.ggml.pre", "klingon", "tokenizer.ggml.pre is 'klingon', which is not known; known are gpt-2,")]
    [InlineData("tokenizer.ggml.model", "rwkv", "tokenizer.ggml.model is 'rwkv', wanted gpt2, llama, t5 or bert")]
    public void Unknown_names_are_refused(string key, string value, string message)
    {
        IEnumerable<KeyValuePair<string, object>> keys = GgufVocabulary.Write(Gpt2, Gpt2.Count).Select(pair => pair.Key == key ? new(key, value) : pair);
        Assert.Contains(message, Assert.Throws<CoppiceException>(() => Through(keys)).Message, StringComparison.Ordinal);
    }

    static Tokenizer Of(string kind) => kind switch
    {
        "llama" => new Tokenizer(TokenizerPipelineTests.Read(TokenizerPipelineTests.LlamaJson).Parts with { Roles = new TokenizerRoles { Bos = 1, Eos = 2 } }),
        "bert" => new Tokenizer(TokenizerPipelineTests.Read(TokenizerPipelineTests.Bert.Replace("\"max_input_chars_per_word\": 10", "\"max_input_chars_per_word\": 100", StringComparison.Ordinal)).Parts with { Roles = new TokenizerRoles { Bos = 2 } }),
        "t5" => TokenizerPipelineTests.Read(TokenizerPipelineTests.T5.Replace("{\"type\": \"NFKC\"}, ", "", StringComparison.Ordinal).Replace("\"strip_left\": false", "\"strip_left\": true", StringComparison.Ordinal)),
        "llama-bpe" => TokenizerPipelineTests.Read(Json(Gpt2).Replace("\"ignore_merges\": false", "\"ignore_merges\": true", StringComparison.Ordinal)
            .Replace("\"pre_tokenizer\": {", $"\"pre_tokenizer\": {Llama3}, \"truncation\": {{", StringComparison.Ordinal).Replace("\"truncation\": null,", "", StringComparison.Ordinal)),
        _ => Gpt2,
    };

    static string Json(Tokenizer tokenizer)
    {
        using MemoryStream stream = new();
        tokenizer.Files[0].Write(stream);
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    static Tokenizer Through(IEnumerable<KeyValuePair<string, object>> keys)
    {
        using TemporaryFolder folder = new();
        GgufWriter.Write(folder["v.gguf"], [new("general.architecture", "llama"), .. keys], []);
        using Gguf file = Gguf.Open(folder["v.gguf"]);
        return GgufVocabulary.Read(file);
    }
}
