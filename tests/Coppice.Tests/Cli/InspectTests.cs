using System.Text.Json;
using Coppice.Models;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class InspectTests
{
    [Fact]
    public void The_document_counts_what_the_model_has()
    {
        using TinyFolder tiny = new();
        JsonElement json = CommandLine.Json("inspect", tiny.Model);
        // embedding, 2 x (q, k, v, o, gate, up, down, two norms), last norm
        int matrices = 300 * 64 + 2 * (64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 96 * 64), vectors = 5 * 64;
        Assert.Equal("llama", json.GetProperty("family").GetString());
        Assert.Equal(matrices + vectors, json.GetProperty("parameters").GetInt64());
        Assert.Equal(4 * (matrices + vectors), json.GetProperty("bytes").GetInt64());
        Assert.Equal(32, json.GetProperty("bitsPerWeight").GetDouble());
        Assert.Equal(64, json.GetProperty("context").GetInt32());
        Assert.Equal("byte-level BPE", json.GetProperty("tokenizer").GetProperty("kind").GetString());
        JsonElement[] weights = [.. json.GetProperty("weights").EnumerateArray()];
        Assert.Equal(1 + 2 * 9 + 1, weights.Length);
        JsonElement down = weights.Single(weight => weight.GetProperty("name").GetString() == "model.layers.1.mlp.down_proj");
        Assert.Equal([64, 96], down.GetProperty("shape").EnumerateArray().Select(size => size.GetInt32()));
        Assert.Equal(("f32", 4 * 64 * 96, JsonValueKind.Null), (down.GetProperty("kind").GetString(), down.GetProperty("bytes").GetInt32(), down.GetProperty("sparsity").ValueKind));
    }

    [Fact]
    public void Zeros_are_counted_when_asked_for()
    {
        using TinyFolder tiny = new();
        string model = tiny.Changed("zeros", llama => TinyFolder.Values(((FeedForward)llama.Blocks[0].FeedForward).Up)[..(96 * 16)].Clear());
        JsonElement up = CommandLine.Json("inspect", model, "--zeros").GetProperty("weights").EnumerateArray().Single(weight => weight.GetProperty("name").GetString() == "model.layers.0.mlp.up_proj");
        Assert.Equal(0.25, up.GetProperty("sparsity").GetDouble());
    }

    [Fact]
    public void The_table_names_every_matrix_and_folds_no_line()
    {
        using TinyFolder tiny = new();
        Outcome outcome = CommandLine.Run("inspect", tiny.Model);
        Assert.Equal((0, ""), (outcome.Code, outcome.Error));
        string[] lines = outcome.Out.Split('\n');
        foreach ((string name, _) in tiny.Language.Model.Matrices())
            Assert.Contains("f32", Assert.Single(lines, line => line.Contains(name + " ", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void An_importance_matrix_that_was_gathered_is_shown()
    {
        using TinyFolder tiny = new();
        JsonElement gathered = CommandLine.Json("imatrix", tiny.Model, "--calibrate", tiny.Text, "--documents", "line", "--calibration-tokens", "500", "-o", tiny["i.gguf"]);
        JsonElement shown = CommandLine.Json("inspect", tiny["i.gguf"]);
        Assert.Equal(gathered.GetRawText(), shown.GetRawText());
        JsonElement[] tensors = [.. shown.GetProperty("tensors").EnumerateArray()];
        Assert.Equal(2 * 7 + 1, tensors.Length);
        Assert.All(tensors, tensor => Assert.Equal(500, tensor.GetProperty("counted").GetInt64()));
        Assert.Equal(96, tensors.Single(tensor => tensor.GetProperty("name").GetString() == "blk.1.ffn_down.weight").GetProperty("inputs").GetInt32());
    }

    [Fact]
    public void An_importance_matrix_is_written_as_GGUF_only()
    {
        using TinyFolder tiny = new();
        Assert.Contains("--output is 'i.dat', wanted NAME.gguf", CommandLine.Run("imatrix", tiny.Model, "--calibrate", tiny.Text, "-o", "i.dat").FailsInOneLine(2), StringComparison.Ordinal);
    }
}
