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
        Assert.Contains("--context is 65, the model's context holds 64", CommandLine.Run(Command(tiny["out"], "--to", "int4-gptq").Select(word => word == "32" ? "65" : word).ToArray()).FailsInOneLine(1), StringComparison.Ordinal);
        foreach ((string output, string own) in new[] { ("out", "out"), ("out", "out/own"), ("out/anna.txt", "out"), ("out/anna.txt.gguf", "out") })
            Assert.Contains("--for-each: ", CommandLine.Run(Command(tiny[output], "--to", "int4-gptq", "--allow-requantize", "--for-each", tiny[own])).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("dropout is 1.5", CommandLine.Run(Command(tiny["out"], "--to", "int4-gptq", "--dropout", "1.5")).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.DoesNotContain("out", tiny.Others);
    }

    [Theory]
    [InlineData("out.gguf", "anna.txt.gguf", "--to", "int4-gptq", "--allow-requantize")]
    [InlineData("out", "anna.txt", "--recipe", "r.yaml", "--others", "0.5")]
    public void Each_client_may_have_a_model_of_its_own(string output, string own, params string[] more)
    {
        File.WriteAllText(tiny["r.yaml"], "name: r\nsteps:\n  - wanda: { sparsity: 0.5 }\n  - fineTune: { tokens: 128, batchSize: 2, contextLength: 16 }\n");
        JsonElement json = CommandLine.Json(Command(tiny[output], [.. more.Select(word => word == "r.yaml" ? tiny["r.yaml"] : word), "--for-each", tiny["own"]]));
        JsonElement[] clients = [.. json.GetProperty("clients").EnumerateArray()];
        Assert.All(clients, client => Assert.True(client.GetProperty("ownKl").GetDouble() > 0 && client.GetProperty("ownKl").GetDouble() != client.GetProperty("kl").GetDouble()));
        Assert.Equal(tiny[$"own/{own}"], clients[0].GetProperty("ownArtifact").GetString());
        Assert.Equal(0, CommandLine.Run("inspect", tiny[$"own/{own}"]).Code);
        Assert.Equal(2, Directory.EnumerateFileSystemEntries(tiny["own"]).Count());
        Assert.Equal(new[] { output, "own", "r.yaml", "texts" }.Order(StringComparer.Ordinal), tiny.Others.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Changes_of_low_rank_are_stacked_by_one_option()
    {
        File.WriteAllText(tiny["r.yaml"], "name: r\nsteps:\n  - fineTune: { tokens: 128, batchSize: 2, contextLength: 16, lora: 4 }\n");
        foreach (string[] way in new string[][] { ["stack", "--lora-ranks", "2,8"], ["mean"], ["ffa"] })
            Assert.Equal(2, CommandLine.Json(Command(tiny[way[0]], ["--recipe", tiny["r.yaml"], "--local-steps", "2", "--lora-averaging", .. way])).GetProperty("clients").GetArrayLength());
        Assert.Contains("wanted changes that are stacked", CommandLine.Run(Command(tiny["no"], "--recipe", tiny["r.yaml"], "--lora-ranks", "2")).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("--others goes with", CommandLine.Run(Command(tiny["no"], "--recipe", tiny["r.yaml"], "--others", "1")).FailsInOneLine(2), StringComparison.Ordinal);
    }
}
