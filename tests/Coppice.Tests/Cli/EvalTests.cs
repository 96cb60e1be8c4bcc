using System.Text.Json;
using Coppice.Formats;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Text;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class EvalTests
{
    const string Weights = "stories260K/stories260K.bin", Tokens = "stories260K/tok512.bin", Stories = "tinystories/tinystories_1000.lines.txt";

    static JsonElement Score(JsonElement scores, string metric) => scores.EnumerateArray().Single(score => score.GetProperty("metric").GetString() == metric);

    [Fact]
    public void A_model_against_itself_has_lost_nothing()
    {
        using TinyFolder tiny = new();
        JsonElement json = CommandLine.Json("eval", tiny.Model, "--base", tiny.Model, "--data", tiny.Text, "--documents", "line", "--speed-tokens", "8");
        JsonElement comparison = json.GetProperty("comparison").GetProperty("scores");
        Assert.Equal(0, Score(comparison, "kl").GetProperty("value").GetDouble());
        Assert.Equal(1, Score(comparison, "top1Agreement").GetProperty("value").GetDouble());
        double nll = Score(json.GetProperty("scores"), "nll").GetProperty("value").GetDouble();
        // Random weights know little more than that there are 300 tokens.
        Assert.Equal(Math.Log(300), nll, 0.5);
        Assert.Equal(Math.Exp(nll), Score(json.GetProperty("scores"), "perplexity").GetProperty("value").GetDouble(), 1e-9 * Math.Exp(nll));
        Assert.Equal(json.GetProperty("scoredTokens").GetInt32(), Score(json.GetProperty("scores"), "nll").GetProperty("samples").GetInt32());
        Assert.Contains("protocol=documents|context=64|", Score(json.GetProperty("scores"), "nll").GetProperty("signature").GetString(), StringComparison.Ordinal);
        Assert.Equal(json.GetProperty("speed").GetProperty("tokensPerSecond").GetDouble() / json.GetProperty("baseSpeed").GetProperty("tokensPerSecond").GetDouble(), json.GetProperty("speedRatio").GetDouble(), 1e-9);
        foreach (string speed in new[] { "speed", "baseSpeed" })
            Assert.True(json.GetProperty(speed).GetProperty("firstTokenSeconds").GetDouble() > 0 && json.GetProperty(speed).GetProperty("tokensPerSecond").GetDouble() > 0);
        Assert.Equal(tiny.Language.Model.ByteCount, json.GetProperty("memory").GetProperty("modelBytes").GetInt64());
        Assert.Equal(2 * 2 * 32 * 2, json.GetProperty("memory").GetProperty("cacheBytesPerToken").GetInt64());
        Assert.True(json.GetProperty("memory").GetProperty("peakBytes").GetInt64() > 1 << 20);
        Assert.Equal(JsonValueKind.Null, json.GetProperty("energy").ValueKind);
    }

    [Fact]
    public void One_window_tells_no_error_and_says_so()
    {
        using TinyFolder tiny = new();
        Outcome outcome = CommandLine.Run("eval", tiny.Model, "--base", tiny.Model, "--data", tiny.Text, "--max-tokens", "40", "--speed-tokens", "0");
        Assert.Contains("one window of text: no error can be told", outcome.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", outcome.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("Infinity", outcome.Out, StringComparison.Ordinal);
        JsonElement json = CommandLine.Json("eval", tiny.Model, "--base", tiny.Model, "--data", tiny.Text, "--max-tokens", "40", "--speed-tokens", "0");
        Assert.All(json.GetProperty("comparison").GetProperty("deltaNllInterval").EnumerateArray(), end => Assert.Equal(JsonValueKind.Null, end.ValueKind));
    }

    [Fact]
    public void Max_tokens_shortens_the_text_and_stride_scores_what_lies_past_the_first_window()
    {
        using TinyFolder tiny = new();
        int Scored(params string[] more) => CommandLine.Json(["eval", tiny.Model, "--data", tiny.Text, "--speed-tokens", "0", .. more]).GetProperty("scoredTokens").GetInt32();
        // One document, longer than a window, is scored whole, of many one window each.
        int whole = Scored("--stride", "32");
        Assert.True(whole > 1000);
        Assert.InRange(Scored(), 0.9 * whole, whole);
        Assert.True(Scored("--documents", "line", "--context", "8") < 0.9 * whole);
        Assert.InRange(Scored("--stride", "32", "--max-tokens", "500"), 480, 500);
    }

    [Fact]
    public void The_table_has_errors_a_signature_and_the_base_beside_the_model()
    {
        using TinyFolder tiny = new();
        CommandLine.Json("compress", tiny.Model, "--to", "int4", "-o", tiny["small"]);
        Outcome outcome = CommandLine.Run("eval", tiny["small"], "--base", tiny.Model, "--data", tiny.Text, "--documents", "line", "--speed-tokens", "4", "--quiet");
        Assert.Equal((0, ""), (outcome.Code, outcome.Error));
        foreach (string part in new[] { "bitsPerByte", "±", "kl (nats a token)", "first token", "95%", "tokenizer=", "peak memory" })
            Assert.Contains(part, outcome.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Models_that_read_different_tokens_are_not_compared()
    {
        using TinyFolder tiny = new(), other = new();
        File.WriteAllText(Path.Combine(other.Model, "tokenizer.json"), File.ReadAllText(Path.Combine(other.Model, "tokenizer.json")).Replace("\"Ġthe\"", "\"Ġteh\"", StringComparison.Ordinal));
        Outcome outcome = CommandLine.Run("eval", tiny.Model, "--base", other.Model, "--data", tiny.Text);
        outcome.FailsInOneLine(1);
    }

    // All 1,000 stories: 405,829 tokens and 1.6085 nats a token, as llama2.c has it. These figures are of the same command with --max-tokens.
    [SharedDataFact(Weights, Tokens, Stories)]
    public void A_real_model_scores_real_stories_as_written_down()
    {
        JsonElement json = CommandLine.Json("eval", SharedDataFactAttribute.PathOf(Weights), "--data", SharedDataFactAttribute.PathOf(Stories), "--documents", "line",
            "--context", "512", "--minimum-characters", "20", "--max-tokens", "8000", "--speed-tokens", "0");
        Assert.Equal(7_975, json.GetProperty("scoredTokens").GetInt32());
        Assert.Equal(1.307501, Score(json.GetProperty("scores"), "nll").GetProperty("value").GetDouble(), 5e-5);
        Assert.Equal(0.882573, Score(json.GetProperty("scores"), "bitsPerByte").GetProperty("value").GetDouble(), 5e-5);
    }

    [Fact]
    public void A_classifier_is_measured_on_labelled_texts_and_against_its_base()
    {
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder["model"]);
        new RandomEncoder("bert ForSequenceClassification").Write(folder["model"]);
        BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = RandomEncoder.Vocabulary }).Save(folder["model"]);
        File.WriteAllText(folder["task.tsv"], "sentence\tlabel\na good film\tgood\nbad\tbad\nso so\tso-so\nfine\t2\n\n");
        CommandLine.Run("compress", folder["model"], "-o", folder["small"], "--to", "int8", "--quiet");
        JsonElement json = CommandLine.Json("eval", folder["small"], "--base", folder["model"], "--task", folder["task.tsv"]);
        Assert.Equal(["accuracy", "nll"], json.GetProperty("scores").EnumerateArray().Select(score => score.GetProperty("metric").GetString()));
        Assert.Equal(["accuracyGain", "agreement"], json.GetProperty("comparison").EnumerateArray().Select(score => score.GetProperty("metric").GetString()));
        Assert.Equal(4, json.GetProperty("scores")[0].GetProperty("samples").GetInt32());
        Assert.Equal(0, json.GetProperty("cutTexts").GetInt32());
        Assert.Contains("--context is for texts without classes", CommandLine.Run("eval", folder["model"], "--task", folder["task.tsv"], "--context", "5").FailsInOneLine(2), StringComparison.Ordinal);
    }
}
