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
    public void Translations_are_scored_by_references()
    {
        File.WriteAllText(folder["lines.txt"], "ab c\na b b\n");
        File.WriteAllText(folder["wrong.txt"], "x\ny\n");
        string[] command = ["translate", folder.Path, "--lines", folder["lines.txt"], "--max-tokens", "8"];
        File.WriteAllText(folder["right.txt"], CommandLine.Run([.. command, "--quiet"]).Out);
        Outcome outcome = CommandLine.Run([.. command, "--reference", folder["wrong.txt"], "--reference", folder["right.txt"]]);
        Assert.Contains("BLEU 100.00 ± 0.00 (95%: 100.00 to 100.00), n-grams 100.0/100.0/100.0/100.0, brevity penalty 1.000", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("chrF2 100.00", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("|nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp", outcome.Error, StringComparison.Ordinal);
        JsonElement json = CommandLine.Json([.. command, "--reference", folder["wrong.txt"]]);
        Assert.Equal(["bleu", "chrf"], json.GetProperty("scores").EnumerateArray().Select(score => score.GetProperty("metric").GetString()));
        Assert.Equal(0, json.GetProperty("scores")[0].GetProperty("value").GetDouble());
        Assert.Equal(2, json.GetProperty("bleuInterval").GetArrayLength());
        File.WriteAllText(folder["short.txt"], "x\n");
        Assert.Contains("short.txt: has 1 lines, wanted one for each of the 2 texts", CommandLine.Run([.. command, "--reference", folder["short.txt"]]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("none.txt: could not be read", CommandLine.Run([.. command, "--reference", folder["none.txt"]]).FailsInOneLine(1), StringComparison.Ordinal);
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
