using System.Text.Json;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class BenchTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    [Fact]
    public void Its_document_has_the_machine_the_kernels_asked_for_and_the_model()
    {
        JsonElement root = CommandLine.Json("bench", tiny.Model, "--only", "q8_0,f16", "--rows", "64", "--rounds", "1", "--prompt-tokens", "9", "--tokens", "3");
        Assert.True(root.GetProperty("readBytesPerSecond").GetDouble() > 1e8);
        Assert.True(root.GetProperty("peakFlops").GetDouble() > 1e8);
        Assert.Equal(
            [("f16", "f32", 1), ("f16", "f32", 8), ("f16", "f32", 512), ("q8_0", "int8", 1), ("q8_0", "int8", 8), ("q8_0", "int8", 512)],
            root.GetProperty("kernels").EnumerateArray().Select(row => (row.GetProperty("weight").GetString(), row.GetProperty("activations").GetString(), row.GetProperty("rows").GetInt32())));
        JsonElement model = root.GetProperty("model");
        Assert.Equal(9, model.GetProperty("promptTokens").GetInt32());
        foreach (string rate in new[] { "promptTokensPerSecond", "promptShare", "tokensPerSecond", "generationShare", "tokenSecondsP99" })
            Assert.True(model.GetProperty(rate).GetDouble() > 0, rate);
    }
}
