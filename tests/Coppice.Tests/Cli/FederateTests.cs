using System.Text.Json;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public class FederateTests
{
    static string Clients(TinyFolder tiny)
    {
        string folder = tiny["clients"];
        Directory.CreateDirectory(folder);
        string[] lines = File.ReadAllLines(tiny.Text);
        for (int i = 0; i < 3; i++)
            File.WriteAllLines(Path.Combine(folder, $"client{i}.txt"), lines.Where((_, line) => line % 3 == i));
        return folder;
    }

    static string[] Command(TinyFolder tiny, string output) =>
        ["federate", "simulate", tiny.Model, "--clients", Clients(tiny), "--rounds", "3", "--local-steps", "2", "--batch", "2", "--context", "16", "-o", output];

    [Fact]
    public void Clients_lower_the_loss_and_every_byte_is_counted()
    {
        using TinyFolder tiny = new();
        JsonElement json = CommandLine.Json([.. Command(tiny, tiny["out"]), "--rate", "0.01"]);
        JsonElement[] rounds = [.. json.GetProperty("rounds").EnumerateArray()];
        Assert.Equal(3, rounds.Length);
        Assert.All(rounds, round => Assert.Equal((3, 0), (round.GetProperty("clients").GetInt32(), round.GetProperty("dropped").GetInt32())));
        Assert.All(rounds, round => Assert.InRange(round.GetProperty("bytesUp").GetInt64(), 1, round.GetProperty("bytesDown").GetInt64() / 3));
        Assert.True(rounds[^1].GetProperty("loss").GetDouble() < rounds[0].GetProperty("loss").GetDouble());
        Assert.Equal(0, CommandLine.Run("inspect", json.GetProperty("artifact").GetString()!).Code);
        Assert.False(Directory.Exists(tiny["out.federation"]));
    }

    [Fact]
    public void The_same_command_writes_the_same_bytes()
    {
        using TinyFolder tiny = new();
        foreach (string output in new[] { "first", "second" })
            Assert.Equal(0, CommandLine.Run(Command(tiny, tiny[output])).Code);
        Assert.Equal(File.ReadAllBytes(tiny["first/model.safetensors"]), File.ReadAllBytes(tiny["second/model.safetensors"]));
    }

    [Fact]
    public void A_folder_without_clients_is_refused()
    {
        using TinyFolder tiny = new();
        string line = CommandLine.Run("federate", "simulate", tiny.Model, "--clients", tiny["nobody"], "-o", tiny["out"]).FailsInOneLine(1);
        Assert.Contains("nobody", line);
        Assert.False(Directory.Exists(tiny["out"]));
    }
}
