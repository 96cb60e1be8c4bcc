using System.Text.Json;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class ConvertTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    [Fact]
    public void The_document_says_what_became_of_each_kind_of_tensor()
    {
        CommandLine.Json("compress", tiny.Model, "--to", "int4", "-o", tiny["packed"]);
        JsonElement json = CommandLine.Json("convert", tiny["packed"], "-o", tiny["m.gguf"]);
        Assert.Equal("gguf", json.GetProperty("format").GetString());
        Assert.True(json.GetProperty("lossless").GetBoolean());
        Assert.Equal(0, json.GetProperty("maxError").GetDouble());
        Assert.Equal(tiny["m.gguf"], json.GetProperty("artifact").GetString());
        Assert.Equal(new FileInfo(tiny["m.gguf"]).Length, json.GetProperty("bytes").GetInt64());
        JsonElement up = json.GetProperty("kinds").EnumerateArray().Single(kind => kind.GetProperty("tensors").GetString() == "mlp.up_proj");
        Assert.Equal(("int4-g32", "q4_0", 2, 2, 4.5), (up.GetProperty("from").GetString(), up.GetProperty("to").GetString(), up.GetProperty("count").GetInt32(), up.GetProperty("exact").GetInt32(), up.GetProperty("bitsPerWeight").GetDouble()));
        Assert.Equal(JsonValueKind.Null, up.GetProperty("reason").ValueKind);
    }

    [Fact]
    public void Exit_codes_tell_misuse_from_a_refusal()
    {
        CommandLine.Json("compress", tiny.Model, "--to", "int4", "-o", tiny["packed"]);
        Assert.Contains("--format is 'tflite'", CommandLine.Run("convert", tiny.Model, "-o", tiny["x"], "--format", "tflite").FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("is the model itself", CommandLine.Run("convert", tiny.Model, "-o", tiny.Model).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("--shard-size is 'big'", CommandLine.Run("convert", tiny.Model, "-o", tiny["x"], "--shard-size", "big").FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("--allow-requantize", CommandLine.Run("convert", tiny["packed"], "-o", tiny["x"], "--format", "safetensors", "--type", "f16", "--quiet").FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("no matrix of integers for Awq's parts", CommandLine.Run("convert", tiny.Model, "-o", tiny["x"], "--format", "awq", "--quiet").FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Equal(["packed"], tiny.Others);
        JsonElement json = CommandLine.Json("convert", tiny["packed"], "-o", tiny["x"], "--format", "safetensors", "--type", "f16", "--allow-requantize");
        Assert.False(json.GetProperty("lossless").GetBoolean());
        Assert.True(json.GetProperty("maxError").GetDouble() > 0);
        Assert.Contains(json.GetProperty("kinds").EnumerateArray(), kind => kind.GetProperty("reason").GetString()?.Contains("int4-g32", StringComparison.Ordinal) == true);
    }

    [Fact]
    public void A_file_s_folder_is_made_where_there_is_none()
    {
        string text = tiny.Text;
        CommandLine.Json("convert", tiny.Model, "-o", tiny["converted/here/m.gguf"]);
        CommandLine.Json("compress", tiny.Model, "--to", "q8_0", "-o", tiny["streamed/here/m.gguf"]);
        CommandLine.Json("compress", tiny.Model, "--to", "q8_0", "--calibrate", text, "--documents", "line", "-o", tiny["calibrated/here/m.gguf"]);
        CommandLine.Json("imatrix", tiny.Model, "--calibrate", text, "--documents", "line", "--calibration-tokens", "200", "-o", tiny["gathered/here/i.gguf"]);
        CommandLine.Json("explain", tiny.Model, "--text", "the cat sat", "-o", tiny["told/here/report.html"]);
        foreach (string file in new[] { "converted/here/m.gguf", "streamed/here/m.gguf", "calibrated/here/m.gguf", "gathered/here/i.gguf", "told/here/report.html" })
            Assert.Equal(tiny[file], Assert.Single(Directory.GetFileSystemEntries(Path.GetDirectoryName(tiny[file])!)));
    }

    [Fact]
    public void Onnx_is_a_folder_with_the_graph_and_its_numbers()
    {
        JsonElement json = CommandLine.Json("convert", tiny.Model, "-o", tiny["onnx"], "--format", "onnx");
        Assert.True(json.GetProperty("lossless").GetBoolean());
        Assert.Equal(["model.onnx", "model.onnx_data"], Directory.GetFiles(Path.Combine(tiny["onnx"], "onnx")).Select(Path.GetFileName).Order());
        Assert.True(File.Exists(Path.Combine(tiny["onnx"], "tokenizer.json")));
    }
}
