using System.Text.Json;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Tests.Text.SentencePiece;
using Coppice.Text;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class TranslateTests : IDisposable
{
    const int End = 0, Padding = 39;

    readonly TemporaryFolder folder = new();
    readonly RandomMarian reference = new();

    public TranslateTests()
    {
        string[] tokens = ["</s>", "<unk>", "▁a", "b", "▁", "c", "▁ab", .. Enumerable.Range(7, 32).Select(id => $"▁w{id}"), "<pad>"];
        reference.Write(folder.Path);
        File.WriteAllBytes(folder["source.spm"], SentencePieceFileTests.File(unigram: true));
        File.WriteAllText(folder["vocab.json"], JsonSerializer.Serialize(tokens.Index().ToDictionary(token => token.Item, token => token.Index)));
    }

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_likeliest_tokens_are_those_of_plain_loops_in_double()
    {
        Tokenizer tokenizer = Tokenizer.Load(folder.Path);
        int[] source = [.. tokenizer.Encode("ab c"), End];
        List<int> ids = [Padding];
        while (ids.Count <= 10 && Enumerable.Range(0, Padding).MaxBy(id => reference.Logits(source, [.. ids])[^1][id]) is not End and int next)
            ids.Add(next);
        JsonElement json = CommandLine.Json("translate", folder.Path, "--text", "ab c", "--beams", "1", "--max-tokens", "10", "--kv", "f32");
        JsonElement translation = json.GetProperty("translations").EnumerateArray().Single();
        Assert.Equal(tokenizer.Decode([.. ids.Skip(1)]), translation.GetProperty("text").GetString());
        Assert.Equal(ids.Count - 1, translation.GetProperty("tokens").GetInt32());
        Assert.True(translation.GetProperty("logProbability").GetDouble() < 0 && json.GetProperty("tokensPerSecond").GetDouble() > 0);
    }

    [Fact]
    public void A_line_comes_out_for_each_that_goes_in()
    {
        File.WriteAllText(folder["lines.txt"], "ab c\n\na b b\nab c\n");
        string[] lines = CommandLine.Run("translate", folder.Path, "--lines", folder["lines.txt"], "--max-tokens", "8", "--quiet").Out.Split('\n');
        Assert.Equal(5, lines.Length);
        Assert.Equal(lines[0], lines[3]);
        Assert.NotEqual("", lines[0]);
        Assert.Equal("", lines[1]);
        Assert.Equal(lines[2] + "\n", CommandLine.Run("translate", folder.Path, "--text", "a b b", "--max-tokens", "8", "--quiet").Out);
    }

    [Fact]
    public void What_cannot_be_translated_is_said_in_one_line()
    {
        File.WriteAllText(folder["lines.txt"], $"a\n{string.Join(' ', Enumerable.Repeat("b", 20))}\n");
        Assert.Contains("lines.txt: line 2 has ", CommandLine.Run("translate", folder.Path, "--lines", folder["lines.txt"]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("none.txt: could not be read", CommandLine.Run("translate", folder.Path, "--lines", folder["none.txt"]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("give one of --text and --lines", CommandLine.Run("translate", folder.Path).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("'coppice translate' does", CommandLine.Run("run", folder.Path, "--prompt", "a").FailsInOneLine(1), StringComparison.Ordinal);
        using TinyFolder tiny = new();
        Assert.Contains("is a llama, which does not translate", CommandLine.Run("translate", tiny.Model, "--text", "a").FailsInOneLine(1), StringComparison.Ordinal);
    }
}
