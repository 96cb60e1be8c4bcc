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

    [SmallDiskFact]
    public void A_disk_too_small_for_the_clients_states_is_one_line_and_no_model()
    {
        using TinyFolder tiny = new();
        using SmallDisk disk = SmallDisk.Mount(tiny["disk"], kilobytes: 1200)!;
        string line = CommandLine.Run([.. Command(tiny, tiny["disk/out"]), "--quiet"]).FailsInOneLine(1);
        Assert.Matches("client 'client[012].txt', its state: .*could not be written: No space left", line);
        Assert.False(Directory.Exists(tiny["disk/out"]));
    }

    [Fact]
    public void What_no_client_can_do_is_said_once_and_before_any_round_where_it_is_known()
    {
        using TinyFolder tiny = new();
        Assert.Equal("coppice: Federation: context length is 65, the model's context holds 64", CommandLine.Run([.. Command(tiny, tiny["out"]).Select(word => word == "16" ? "65" : word)]).FailsInOneLine(1));
        Assert.False(Directory.Exists(tiny["out.federation"]));
        string line = CommandLine.Run([.. Command(tiny, tiny["out"]), "--rate", "1e39", "--quiet"]).FailsInOneLine(1);
        Assert.EndsWith("'client0.txt', 'client1.txt', 'client2.txt' Training: step 2 has loss NaN and gradient norm NaN; lower the learning rate 1E+39 or check the weights for NaN", line, StringComparison.Ordinal);
    }

    [Fact]
    public void Quiet_leaves_the_line_of_the_result()
    {
        using TinyFolder tiny = new();
        Outcome outcome = CommandLine.Run([.. Command(tiny, tiny["out"]), "--quiet"]);
        Assert.Equal((0, ""), (outcome.Code, outcome.Error));
        Assert.Matches($"bytes down in 3 rounds; wrote {tiny["out"]}\n$", outcome.Out);
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

    [Theory]
    [InlineData("--codec", "topk:0.1", "--strategy", "fedadam:0.01", "--personal", "model.norm.weight")]
    [InlineData("--codec", "int4", "--strategy", "scaffold", "--optimizer", "sgd", "--download", "float16")]
    [InlineData("--codec", "powersgd:2", "--strategy", "fedbuff:2", "--clients-per-round", "2")]
    [InlineData("--robust", "median", "--attack", "signflip:0.3:5")]
    public void Parts_are_chosen_by_name(params string[] options)
    {
        using TinyFolder tiny = new();
        JsonElement json = CommandLine.Json([.. Command(tiny, tiny["out"]), .. options]);
        Assert.Equal(3, json.GetProperty("rounds").GetArrayLength());
        Assert.All(json.GetProperty("rounds").EnumerateArray(), round => Assert.Equal(JsonValueKind.Null, round.GetProperty("epsilon").ValueKind));
        Assert.False(Directory.Exists(tiny["out.federation"]));
    }

    [Fact]
    public void Privacy_is_added_up_and_a_round_over_budget_ends_the_run()
    {
        using TinyFolder tiny = new();
        double[] epsilons = [.. CommandLine.Json([.. Command(tiny, tiny["out"]), "--dp", "central:1:2", "--participation", "0.7"]).GetProperty("rounds").EnumerateArray().Select(round => round.GetProperty("epsilon").GetDouble())];
        Assert.True(epsilons[0] > 0 && epsilons[1] > epsilons[0] && epsilons[2] > epsilons[1]);
        Outcome poor = CommandLine.Run([.. Command(tiny, tiny["poor"]), "--dp", "central:1:2:1e-5:1"]);
        Assert.Equal(1, poor.Code);
        Assert.Matches("^coppice: Privacy: round 1 would bring epsilon to .*, the budget is 1; ", poor.Error.TrimEnd().Split('\n')[^1]);
    }

    [Theory]
    [InlineData("dirichlet:0.5:4:5", "their labels differ by ")]
    [InlineData("iid:4", "split iid:4: 4 clients")]
    public void A_split_deals_a_folder_to_clients_and_says_how_they_differ(string split, string said)
    {
        using TinyFolder tiny = new();
        Outcome outcome = CommandLine.Run([.. Command(tiny, tiny["out"]), "--documents", "line", "--split", split, "--held-out-share", "0.3"]);
        Assert.Equal(0, outcome.Code);
        Assert.Contains(said, outcome.Error, StringComparison.Ordinal);
        Assert.Contains("client client-4: ", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("clients differ by ", outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_of_a_split_without_one_are_misuse_and_labels_that_are_not_there_are_named()
    {
        using TinyFolder tiny = new();
        Assert.Contains("--label-field goes with --split", CommandLine.Run([.. Command(tiny, tiny["out"]), "--label-field", "author"]).FailsInOneLine(2));
        Assert.Contains("wanted 0 to below 1", CommandLine.Run([.. Command(tiny, tiny["out"]), "--split", "iid:3", "--held-out-share", "1"]).FailsInOneLine(1));
        Assert.Contains("wanted a speaker as 'NAME:'", CommandLine.Run("federate", "simulate", tiny.Model, "--clients", tiny.Text, "--split", "label", "-o", tiny["out"]).FailsInOneLine(1));
    }

    [Theory]
    [InlineData("--split", "half", "'half' is none of")]
    [InlineData("--codec", "zip", "'zip' is none of")]
    [InlineData("--strategy", "fedprox:x", "wanted a number")]
    [InlineData("--robust", "mean", "'mean' is none of")]
    [InlineData("--dp", "central", "lacks a norm")]
    [InlineData("--attack", "signflip", "lacks a share")]
    public void A_wrong_name_is_misuse(string option, string value, string reason)
    {
        using TinyFolder tiny = new();
        Assert.Contains(reason, CommandLine.Run([.. Command(tiny, tiny["out"]), option, value]).FailsInOneLine(2));
        Assert.False(Directory.Exists(tiny["out"]));
    }

    [Fact]
    public void A_mix_that_breaks_a_guarantee_is_refused_with_the_reason()
    {
        using TinyFolder tiny = new();
        Assert.Contains("without error feedback", CommandLine.Run([.. Command(tiny, tiny["out"]), "--codec", "topk:0.1", "--dp", "central:1:2"]).FailsInOneLine(1));
    }

    [Fact]
    public void Secure_aggregation_is_one_option_and_says_what_it_did()
    {
        using TinyFolder tiny = new();
        (int code, string _, string error) = CommandLine.Run([.. Command(tiny, tiny["out"]), "--secure", "hadamard:40:16:512:0", "--rate", "0.01"]);
        Assert.Equal(0, code);
        Assert.Contains("their sum alone: keys of 3 clients, 3 or more to the end, masks with 2 others each", error, StringComparison.Ordinal);
        JsonElement[] rounds = [.. CommandLine.Json([.. Command(tiny, tiny["again"]), "--secure", "hadamard:40:16:512:0", "--rate", "0.01"]).GetProperty("rounds").EnumerateArray()];
        Assert.All(rounds, round => Assert.Equal(0, round.GetProperty("shortened").GetInt32()));
        Assert.True(rounds[^1].GetProperty("loss").GetDouble() < rounds[0].GetProperty("loss").GetDouble());
        string line = CommandLine.Run([.. Command(tiny, tiny["no"]), "--secure", "hadamard:4", "--codec", "int8"]).FailsInOneLine(1);
        Assert.Contains("'int8' is not linear", line, StringComparison.Ordinal);
    }

    [Fact]
    public void Clients_of_less_capacity_train_narrower_models_that_are_written_as_ordinary_ones()
    {
        using TinyFolder tiny = new();
        JsonElement json = CommandLine.Json([.. Command(tiny, tiny["out"]), "--widths", "client0.txt=0.5,1", "--sub-models", tiny["parts"]]);
        Assert.Equal([0.5, 1, 1], json.GetProperty("clients").EnumerateArray().Select(client => client.GetProperty("width").GetDouble()));
        Assert.Equal([0, 1], [.. new[] { "0.5", "1" }.Select(width => Directory.Exists(Path.Combine(tiny["parts"], width)) ? 0 : 1)]);
        JsonElement small = CommandLine.Json("inspect", Path.Combine(tiny["parts"], "0.5")), whole = CommandLine.Json("inspect", tiny["out"]);
        Assert.True(small.GetProperty("parameters").GetInt64() < whole.GetProperty("parameters").GetInt64());
        Assert.Contains("--sub-models goes with --widths", CommandLine.Run([.. Command(tiny, tiny["no"]), "--sub-models", tiny["parts"]]).FailsInOneLine(2));
        Assert.Contains("beside the output", CommandLine.Run([.. Command(tiny, tiny["no"]), "--widths", "0.5", "--sub-models", tiny["no"], "--quiet"]).FailsInOneLine(2));
        Assert.False(Directory.Exists(tiny["no.federation"]));
        Assert.Contains("'2' in '2'", CommandLine.Run([.. Command(tiny, tiny["no"]), "--widths", "2"]).FailsInOneLine(2));
    }

    [Fact]
    public void Clients_vote_on_what_is_pruned_and_the_model_is_written_sparsely()
    {
        using TinyFolder tiny = new();
        JsonElement json = CommandLine.Json([.. Command(tiny, tiny["out"]), "--prune", "rigl:0.8:2:0.3"]);
        JsonElement[] rounds = [.. json.GetProperty("rounds").EnumerateArray()];
        Assert.All(rounds, round => Assert.Equal(0.8, round.GetProperty("sparsity").GetDouble(), 0.01));
        Assert.True(rounds[0].GetProperty("voteBytes").GetInt64() > 0);
        Assert.True(rounds[2].GetProperty("bytesDown").GetInt64() < rounds[0].GetProperty("bytesDown").GetInt64());
        Assert.Contains("sparse", CommandLine.Run("inspect", tiny["out"]).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Clients_with_models_of_their_own_learn_from_what_all_hold_of_a_public_text()
    {
        using TinyFolder tiny = new();
        string[] command = ["federate", "distill", tiny.Model, "--clients", Clients(tiny), "--public", tiny.Text, "--rounds", "2", "--local-steps", "2", "--digest-steps", "2", "--public-windows", "4", "--batch", "2", "--context", "16", "--widths", "0.5,1", "-o", tiny["out"]];
        JsonElement json = CommandLine.Json(command);
        JsonElement[] clients = [.. json.GetProperty("clients").EnumerateArray()];
        Assert.Equal(2, clients.Select(client => client.GetProperty("parameters").GetInt64()).Distinct().Count());
        Assert.All(new[] { "client0.txt", "client1.txt", "client2.txt" }, name => Assert.Equal(0, CommandLine.Run("inspect", Path.Combine(tiny["out"], name)).Code));
        // Goes on from those models, whatever their shapes.
        JsonElement again = CommandLine.Json([.. command[..^4], "--models", tiny["out"], "-o", tiny["again"]]);
        Assert.Equal(clients.Select(client => client.GetProperty("parameters").GetInt64()), again.GetProperty("clients").EnumerateArray().Select(client => client.GetProperty("parameters").GetInt64()));
        Assert.True(again.GetProperty("bytesUp").GetInt64() > 0);
        Assert.Contains($"--models {tiny["clients"]}: has a model of no client; wanted {tiny["clients/client0.txt"]}", CommandLine.Run([.. command, "--models", tiny["clients"]]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("client client0.txt's model holds 64", CommandLine.Run([.. command.Select(word => word == "16" ? "65" : word)]).FailsInOneLine(1), StringComparison.Ordinal);
        Directory.Delete(tiny["out/client1.txt"], recursive: true);
        Assert.Contains($"without a model in {tiny["out"]}: client1.txt\n", CommandLine.Run([.. command[..^4], "--models", tiny["out"], "-o", tiny["again"]]).Error, StringComparison.Ordinal);
        Assert.Contains("wanted 9,999", CommandLine.Run([.. command.Select(word => word == "4" ? "9999" : word)]).FailsInOneLine(1), StringComparison.Ordinal);
    }
}
