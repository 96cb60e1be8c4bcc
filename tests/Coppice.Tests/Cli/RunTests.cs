using System.Text.Json;
using Coppice.Formats;
using Coppice.Text;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class RunTests
{
    const string Weights = "stories260K/stories260K.bin", Tokens = "stories260K/tok512.bin";

    [SharedDataFact(Weights, Tokens)]
    public void Two_hundred_greedy_tokens_of_a_real_model_are_those_of_the_float_reference()
    {
        const string Prompt = "Once upon a time";
        string model = SharedDataFactAttribute.PathOf(Weights);
        Tokenizer tokenizer = Tokenizer.Load(SharedDataFactAttribute.PathOf(Tokens));
        int[] prompt = [1, .. tokenizer.Encode(Prompt)];
        int[] wanted = new FloatLlama2C(model).Greedy(prompt, 200);
        JsonElement json = CommandLine.Json("run", model, "--prompt", Prompt, "--max-tokens", "200");
        Assert.Equal(200, json.GetProperty("tokens").GetInt32());
        Assert.Equal(tokenizer.Decode([.. prompt, .. wanted]), Prompt + json.GetProperty("text").GetString());
        Assert.StartsWith(", there was a little girl named Lily. She loved to play outside in the park.", json.GetProperty("text").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_text_goes_to_stdout_after_its_prompt_and_the_figures_to_stderr()
    {
        using TinyFolder tiny = new();
        Outcome outcome = CommandLine.Run("run", tiny.Model, "--prompt", "the cat", "--max-tokens", "9");
        JsonElement json = CommandLine.Json("run", tiny.Model, "--prompt", "the cat", "--max-tokens", "9");
        Assert.Equal("the cat" + json.GetProperty("text").GetString() + "\n", outcome.Out);
        Assert.Contains("tokens/s", outcome.Error, StringComparison.Ordinal);
        Assert.Equal("maxTokens", json.GetProperty("stop").GetString());
        Assert.True(json.GetProperty("firstTokenSeconds").GetDouble() > 0 && json.GetProperty("tokensPerSecond").GetDouble() > 0);
    }

    [Fact]
    public void A_seed_fixes_what_is_drawn_and_another_draws_otherwise()
    {
        using TinyFolder tiny = new();
        string Draw(string seed) => CommandLine.Json("run", tiny.Model, "--prompt", "the", "--max-tokens", "30", "--temperature", "1.5", "--top-k", "200", "--top-p", "0.99", "--seed", seed).GetProperty("text").GetString()!;
        Assert.Equal(Draw("1"), Draw("1"));
        Assert.NotEqual(Draw("1"), Draw("2"));
    }

    [Fact]
    public void The_context_ends_a_text()
    {
        using TinyFolder tiny = new();
        JsonElement json = CommandLine.Json("run", tiny.Model, "--prompt", "the cat sat", "--max-tokens", "1000");
        Assert.True(json.GetProperty("stop").GetString() is "contextFull" or "endToken");
        Assert.True(json.GetProperty("tokens").GetInt32() + json.GetProperty("promptTokens").GetInt32() <= 64);
    }

    [Theory]
    [InlineData("f32")]
    [InlineData("int8")]
    public void A_draft_leaves_the_text_as_it_is_and_tells_how_often_it_was_right(string cache)
    {
        using TinyFolder tiny = new();
        string[] line = ["run", tiny.Model, "--prompt", "the cat", "--max-tokens", "20", "--kv", cache];
        JsonElement alone = CommandLine.Json(line), drafted = CommandLine.Json([.. line, "--draft", tiny.Model, "--draft-tokens", "3"]);
        Assert.Equal(alone.GetProperty("text").GetString(), drafted.GetProperty("text").GetString());
        Assert.Equal(drafted.GetProperty("draftGuessed").GetInt64(), drafted.GetProperty("draftAccepted").GetInt64());
        Assert.False(alone.TryGetProperty("draftGuessed", out _));
        Assert.Contains("(100.0 %)", CommandLine.Run([.. line, "--draft", tiny.Model]).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_cheaper_variant_takes_over_and_is_told_of()
    {
        using TinyFolder tiny = new();
        string cheap = tiny["cheap.gguf"];
        tiny.Language.SaveGguf(cheap, GgmlType.Q8_0);
        string[] line = ["run", tiny.Model, "--prompt", "the cat", "--max-tokens", "25", "--cheaper", cheap, "--target-ms", "0.000001"];
        JsonElement json = CommandLine.Json(line);
        JsonElement change = Assert.Single(json.GetProperty("switches").EnumerateArray());
        Assert.Equal((17, tiny.Model, cheap), (change.GetProperty("token").GetInt32(), change.GetProperty("from").GetString(), change.GetProperty("to").GetString()));
        Assert.Contains($"after token 17: {tiny.Model} -> {cheap} (median", CommandLine.Run(line).Error, StringComparison.Ordinal);
        Assert.Equal(2, CommandLine.Run("run", tiny.Model, "--prompt", "the cat", "--cheaper", cheap).Code);
    }

    [Fact]
    public void Under_a_limit_of_memory_the_text_is_the_same_and_static_activations_need_a_text()
    {
        using TinyFolder tiny = new(layers: 4);
        string file = tiny["q8.gguf"];
        tiny.Language.SaveGguf(file, GgmlType.Q8_0);
        string[] line = ["run", file, "--prompt", "the cat", "--max-tokens", "9"];
        JsonElement whole = CommandLine.Json([.. line, "--memory", "1GB"]);
        long all = whole.GetProperty("matrixBytes").GetInt64();
        JsonElement capped = CommandLine.Json([.. line, "--memory", $"{all * 4 / 5}"]);
        Assert.Equal(whole.GetProperty("text").GetString(), capped.GetProperty("text").GetString());
        Assert.InRange(capped.GetProperty("matrixBytes").GetInt64(), 1, all * 4 / 5);
        Assert.True(capped.GetProperty("blockReads").GetInt64() > 4);
        Assert.Equal(1, CommandLine.Run([.. line, "--memory", "100"]).Code);
        Assert.Equal(2, CommandLine.Run([.. line, "--activations", "int8-static"]).Code);
        Assert.Equal(0, CommandLine.Run([.. line, "--activations", "int8-static", "--calibrate", tiny.Text, "--float-inputs", "*.down_proj"]).Code);
        Assert.Equal(2, CommandLine.Run([.. line, "--calibrate", tiny.Text]).Code);
    }
}
