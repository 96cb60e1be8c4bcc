using System.Text.Json;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public class ExplainTests
{
    [Fact]
    public void A_text_s_attributions_add_up_to_the_logit_s_change()
    {
        using TinyFolder tiny = new();
        JsonElement json = CommandLine.Json("explain", tiny.Model, "--text", "the cat sat on a");
        JsonElement attribution = Assert.Single(json.GetProperty("attributions").EnumerateArray());
        JsonElement model = attribution.GetProperty("model");
        Assert.Equal(attribution.GetProperty("tokens").GetArrayLength(), model.GetProperty("scores").GetArrayLength());
        Assert.True(Math.Abs(model.GetProperty("residual").GetDouble()) < 0.01);
        Assert.Empty(json.GetProperty("layers").EnumerateArray());
    }

    [Fact]
    public void A_compressed_model_is_explained_against_its_base_in_a_report()
    {
        using TinyFolder tiny = new();
        string small = tiny["small"], report = tiny["report.html"];
        Assert.Equal(0, CommandLine.Run("compress", tiny.Model, "--to", "int4", "-o", small).Code);
        JsonElement json = CommandLine.Json("explain", small, "--base", tiny.Model, "--data", tiny.Text, "--documents", "line", "--prompt-tokens", "6", "--steps", "8", "--blame-tokens", "200", "-o", report);
        Assert.Equal(3, json.GetProperty("attributions").GetArrayLength());
        Assert.Contains(json.GetProperty("layers").EnumerateArray(), layer => layer.GetProperty("name").GetString() == "block 1 mlp.down_proj");
        Assert.Contains(json.GetProperty("agreement").EnumerateArray(), score => score.GetProperty("measure").GetString() == "Spearman");
        Assert.Equal(report, json.GetProperty("report").GetString());
        Assert.Contains("</html>", File.ReadAllText(report), StringComparison.Ordinal);
    }

    [Fact]
    public void It_wants_one_kind_of_text()
    {
        using TinyFolder tiny = new();
        Assert.Contains("--text and --data", CommandLine.Run("explain", tiny.Model).FailsInOneLine(2));
        Assert.Contains("--text and --data", CommandLine.Run("explain", tiny.Model, "--text", "a", "--data", tiny.Text).FailsInOneLine(2));
    }
}
