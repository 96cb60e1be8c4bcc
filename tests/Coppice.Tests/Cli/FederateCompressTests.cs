using System.Text.Json;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class FederateCompressTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    string[] Command(string output, params string[] more)
    {
        Directory.CreateDirectory(tiny["texts"]);
        foreach (string name in new[] { "anna.txt", "bert.txt" })
            File.WriteAllLines(Path.Combine(tiny["texts"], name), File.ReadAllLines(tiny.Text).Where((_, line) => line % 2 == (name[0] == 'a' ? 0 : 1)));
        return ["federate", "compress", tiny.Model, "--clients", tiny["texts"], "--context", "32", "-o", output, .. more];
    }

    [Fact]
    public void A_model_is_compressed_by_clients_who_say_what_it_costs_them()
    {
        JsonElement json = CommandLine.Json(Command(tiny["out.gguf"], "--to", "int4-gptq", "--allow-requantize"));
        Assert.Equal(["anna.txt", "bert.txt"], json.GetProperty("clients").EnumerateArray().Select(client => client.GetProperty("client").GetString()));
        Assert.All(json.GetProperty("clients").EnumerateArray(), client => Assert.InRange(client.GetProperty("kl").GetDouble(), 1e-9, 0.01));
        Assert.True(json.GetProperty("bytesUp").GetInt64() > 0);
        Assert.True(File.Exists(tiny["out.gguf"]));
        Assert.Equal(["out.gguf", "texts"], tiny.Others.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void What_cannot_be_is_one_line()
    {
        Assert.Contains("use coppice compress", CommandLine.Run(Command(tiny["out"], "--to", "int8")).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("neither --recipe", CommandLine.Run(Command(tiny["out"])).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("dropout is 1.5", CommandLine.Run(Command(tiny["out"], "--to", "int4-gptq", "--dropout", "1.5")).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.DoesNotContain("out", tiny.Others);
    }
}
