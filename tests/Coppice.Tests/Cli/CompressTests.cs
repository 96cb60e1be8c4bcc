using System.Text.Json;
using Coppice.Models;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class CompressTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    [Fact]
    public void A_recipe_file_prunes_and_quantizes_what_it_targets()
    {
        File.WriteAllText(tiny["recipe.yaml"], "steps:\n  - wanda: { pattern: \"2:4\", targets: \"*.mlp.*\" }\n  - gptq: { bits: 4, groupSize: 32, targets: \"*.mlp.*\" }\n");
        JsonElement json = CommandLine.Json("compress", tiny.Model, "--recipe", tiny["recipe.yaml"], "--calibrate", tiny.Text, "--documents", "line", "-o", tiny["out"]);
        Assert.Equal(["wanda", "gptq"], json.GetProperty("steps").EnumerateArray().Select(step => step.GetProperty("step").GetString()));
        Assert.All(json.GetProperty("steps").EnumerateArray(), step => Assert.Equal(6, step.GetProperty("matrices").GetInt32()));
        Assert.Equal(tiny["out"], json.GetProperty("artifact").GetString());
        Assert.Equal(json.GetProperty("bytes").GetInt64(), Directory.EnumerateFiles(tiny["out"]).Sum(file => new FileInfo(file).Length));
        Assert.Equal(["out", "recipe.yaml"], tiny.Others.Order());

        foreach (JsonElement weight in CommandLine.Json("inspect", tiny["out"], "--zeros").GetProperty("weights").EnumerateArray())
            if (weight.GetProperty("name").GetString()!.Contains("mlp.", StringComparison.Ordinal))
            {
                Assert.True(weight.GetProperty("sparsity").GetDouble() >= 0.5);
                Assert.True(weight.GetProperty("bitsPerWeight").GetDouble() < 4.6);
            }
            else if (weight.GetProperty("shape").GetArrayLength() == 2)
                Assert.Equal("f16", weight.GetProperty("kind").GetString());
    }

    [Fact]
    public void Pruning_and_training_take_turns_and_what_was_pruned_stays_so()
    {
        File.WriteAllText(tiny["recipe.yaml"], "steps:\n  - iterate:\n      rounds: 2\n      steps:\n        - magnitude: { sparsity: 0.6 }\n        - fineTune: { tokens: 600, batchSize: 2, contextLength: 16, teacher: 0.5 }\n");
        string[] command = ["compress", tiny.Model, "--recipe", tiny["recipe.yaml"], "--calibrate", tiny.Text, "--documents", "line", "-o", tiny["out"]];
        JsonElement json = CommandLine.Json(command);
        Assert.Equal(2, json.GetProperty("notes").GetArrayLength());
        Assert.All(json.GetProperty("layers").EnumerateArray().Where(layer => layer.GetProperty("steps").GetArrayLength() > 0), layer => Assert.InRange(layer.GetProperty("sparsity").GetDouble(), 0.59, 0.7));
        Assert.Equal("sparse-f16", LanguageModel.Load(tiny["out"]).Model.Blocks[0].Attention.Query.Weight.Kind);

        File.WriteAllText(tiny["recipe.yaml"], "steps:\n  - roundToNearest: { groupSize: -1 }\n  - fineTune\n");
        Assert.Contains("step 2 (fineTune): comes after roundToNearest, whose grid it would not keep; put it before", CommandLine.Run(command).FailsInOneLine(1), StringComparison.Ordinal);
    }

    [Fact]
    public void An_importance_matrix_stands_for_the_text_that_it_was_gathered_on()
    {
        string[] text = ["--calibrate", tiny.Text, "--documents", "line"];
        CommandLine.Json(["imatrix", tiny.Model, .. text, "-o", tiny["importance.gguf"]]);
        File.WriteAllText(tiny["recipe.yaml"], "steps:\n  - ggufBlock: { type: q4_0 }\n");
        File.WriteAllText(tiny["weighted.yaml"], "steps:\n  - ggufBlock: { type: q4_0, rounding: weighted }\n");
        CommandLine.Json("compress", tiny.Model, "--recipe", tiny["recipe.yaml"], "--imatrix", tiny["importance.gguf"], "-o", tiny["given.gguf"]);
        CommandLine.Json(["compress", tiny.Model, "--recipe", tiny["weighted.yaml"], .. text, "-o", tiny["seen.gguf"]]);
        CommandLine.Json("compress", tiny.Model, "--recipe", tiny["recipe.yaml"], "-o", tiny["plain.gguf"]);
        // What enters the first stage is the same in both but for the sums' last bits; later ones see the model as it was, or as rounded so far.
        float[] given = Query(tiny["given.gguf"]), seen = Query(tiny["seen.gguf"]), plain = Query(tiny["plain.gguf"]);
        Assert.True(Off(given, seen) < 0.05 * Off(given, plain), $"{Off(given, seen)} of {Off(given, plain)}");

        Assert.Contains("looks at more than inputs' mean squares", CommandLine.Run("compress", tiny.Model, "--to", "int4-gptq", "--imatrix", tiny["importance.gguf"], "-o", tiny["x"]).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("looks at no inputs", CommandLine.Run("compress", tiny.Model, "--to", "int4", "--imatrix", tiny["importance.gguf"], "-o", tiny["x"]).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("--imatrix and --calibrate are both given", CommandLine.Run(["compress", tiny.Model, "--to", "q4_0", "--imatrix", tiny["importance.gguf"], .. text, "-o", tiny["x.gguf"]]).FailsInOneLine(2), StringComparison.Ordinal);
        CommandLine.Json("imatrix", "grove", "--calibrate", "sdk:train", "--calibration-tokens", "64", "-o", tiny["grove.gguf"]);
        Assert.Contains("is of another model", CommandLine.Run("compress", tiny.Model, "--to", "q4_0", "--imatrix", tiny["grove.gguf"], "-o", tiny["x.gguf"]).FailsInOneLine(1), StringComparison.Ordinal);

        static double Off(float[] a, float[] b) => a.Zip(b, (one, other) => Math.Pow(one - other, 2)).Sum();
        static float[] Query(string path) => LanguageModel.Load(path).Model.Blocks[0].Attention.Query.Weight.ToDense();
    }

    [Theory]
    [InlineData("sparse50", "out.gguf")]
    [InlineData("2:4-int4", "out")]
    public void Sizes_are_those_of_what_is_written(string preset, string name)
    {
        JsonElement json = CommandLine.Json("compress", tiny.Model, "--to", preset, "--calibrate", tiny.Text, "--documents", "line", "-o", tiny[name]);
        JsonElement written = CommandLine.Json("inspect", tiny[name]);
        Assert.Equal(written.GetProperty("bitsPerWeight").GetDouble(), json.GetProperty("bitsPerWeight").GetDouble(), 1e-9);
        Assert.InRange(json.GetProperty("layers").EnumerateArray().Sum(layer => layer.GetProperty("bytes").GetInt64()), 0.5 * json.GetProperty("bytes").GetInt64() - 20_000, json.GetProperty("bytes").GetInt64());
    }

    [Fact]
    public void A_budget_counts_what_the_file_has_no_form_for_as_it_is_written()
    {
        Assert.Contains("budget: the smallest of the recipes takes", CommandLine.Run("compress", tiny.Model, "--budget", "12bpw", "--among", "sparse50,2:4", "--calibrate", tiny.Text, "--documents", "line", "-o", tiny["out.gguf"], "--quiet").FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Equal(0, CommandLine.Run("compress", tiny.Model, "--budget", "12bpw", "--among", "sparse50,2:4", "--calibrate", tiny.Text, "--documents", "line", "-o", tiny["out"]).Code);
    }

    [Fact]
    public void A_budget_of_bytes_holds_for_the_file_that_is_written()
    {
        JsonElement smallest = CommandLine.Json("compress", tiny.Model, "--budget", "7bpw", "--calibrate", tiny.Text, "--documents", "line", "-o", tiny["small"]);
        long budget = smallest.GetProperty("bytes").GetInt64() + 2000;
        JsonElement json = CommandLine.Json("compress", tiny.Model, "--budget", $"{budget}B", "--calibrate", tiny.Text, "--documents", "line", "-o", tiny["out"]);
        Assert.InRange(json.GetProperty("bytes").GetInt64(), budget - 4000, budget);
        JsonElement[] front = [.. json.GetProperty("budget").GetProperty("front").EnumerateArray()];
        Assert.Single(front, point => point.GetProperty("name").GetString() == "chosen");
        Assert.Equal(["out", "small"], tiny.Others.Order());

        Assert.Contains("--budget measures on text; --calibrate is missing", CommandLine.Run("compress", tiny.Model, "--budget", "4bpw", "-o", tiny["out"]).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("--budget is given beside --recipe or --to", CommandLine.Run("compress", tiny.Model, "--budget", "4bpw", "--to", "int4", "-o", tiny["out"]).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("--among is for --budget", CommandLine.Run("compress", tiny.Model, "--among", "int4", "-o", tiny["out"]).FailsInOneLine(2), StringComparison.Ordinal);
    }

    [Fact]
    public void Text_that_was_seen_before_is_no_measure()
    {
        Outcome outcome = CommandLine.Run("compress", tiny.Model, "--to", "sparse50", "--calibrate", tiny.Text, "--documents", "line", "--measure", tiny.Text, "-o", tiny["out"]);
        Assert.Equal(0, outcome.Code);
        Assert.Contains("of the lines of", outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_tells_size_and_time_and_leaves_nothing_behind()
    {
        JsonElement plan = CommandLine.Json("plan", tiny.Model, "--to", "int4-gptq", "--calibrate", tiny.Text, "--documents", "line");
        JsonElement done = CommandLine.Json("compress", tiny.Model, "--to", "int4-gptq", "--calibrate", tiny.Text, "--documents", "line", "-o", tiny["out"]);
        Assert.Equal(done.GetProperty("bitsPerWeight").GetDouble(), plan.GetProperty("bitsPerWeight").GetDouble(), 0.01);
        Assert.True(plan.GetProperty("seconds").GetDouble() > 0);
        Assert.Contains("llama.cpp (.gguf)", plan.GetProperty("runtimes").EnumerateArray().Select(runtime => runtime.GetString()));
        Assert.Equal(["out"], tiny.Others);
        // Groups of 16 have no counterpart among GGUF's blocks, nor has an arbitrary zero point of 8 bits.
        foreach ((string options, bool isInGguf) in new[] { ("bits: 4, groupSize: 16", false), ("bits: 8, groupSize: 32, symmetric: false", false), ("bits: 4, groupSize: 32, symmetric: false", true), ("bits: 8, groupSize: -1", true) })
        {
            File.WriteAllText(tiny["recipe.yaml"], $"name: r\nsteps:\n- roundToNearest: {{ {options} }}\n");
            Assert.Equal(isInGguf, CommandLine.Json("plan", tiny.Model, "--recipe", tiny["recipe.yaml"]).GetProperty("runtimes").EnumerateArray().Any(runtime => runtime.GetString() == "llama.cpp (.gguf)"));
            Assert.Equal(isInGguf ? 0 : 1, CommandLine.Run("compress", tiny.Model, "--recipe", tiny["recipe.yaml"], "-o", tiny["out.gguf"]).Code);
            foreach (string left in tiny.Others.Where(name => name.StartsWith("out.gguf", StringComparison.Ordinal)).ToArray())
                if (Directory.Exists(tiny[left]))
                    Directory.Delete(tiny[left], recursive: true);
                else
                    File.Delete(tiny[left]);
        }
        Assert.Contains("neither --recipe FILE nor --to PRESET is given", CommandLine.Run("plan", tiny.Model).FailsInOneLine(2), StringComparison.Ordinal);
    }

    [Fact]
    public void Each_text_is_a_task_of_its_own()
    {
        File.WriteAllText(tiny["recipe.yaml"], "steps:\n  - multiTask: { combine: minimum }\n");
        string[] command = ["compress", tiny.Model, "--recipe", tiny["recipe.yaml"], "--calibrate", tiny.Text, "--documents", "line", "--calibration-tokens", "64"];
        JsonElement json = CommandLine.Json([.. command, "--calibrate", tiny.Text, "-o", tiny["out"]]);
        Assert.Equal(128, json.GetProperty("calibrationTokens").GetInt32());
        Assert.True(json.GetProperty("scoreBytes").GetInt64() > 0);
        Assert.Equal(128, CommandLine.Json(["plan", .. command[1..], "--calibrate", tiny.Text]).GetProperty("calibrationTokens").GetInt32());
        Assert.Contains("wanted at least two calibration texts, one for each task, found 1", CommandLine.Run([.. command, "-o", tiny["other"], "--quiet"]).FailsInOneLine(1));
    }

    [Theory]
    [InlineData("q8_0", "q8_0")]
    [InlineData("q4_0", "q4_0")]
    [InlineData("int4", "q4_0")]
    public void Blocks_that_gguf_has_are_written_as_they_are(string preset, string kind)
    {
        CommandLine.Json("compress", tiny.Model, "--to", preset, "-o", tiny["out.gguf"]);
        Assert.Equal(["out.gguf"], tiny.Others);
        LanguageModel back = LanguageModel.Load(tiny["out.gguf"]);
        Assert.Equal(kind, ((FeedForward)back.Model.Blocks[0].FeedForward).Up.Weight.Kind);
    }

    [Fact]
    public void What_gguf_would_round_again_is_refused_unless_allowed_and_then_told()
    {
        // llama.cpp's blocks are of 32 numbers.
        File.WriteAllText(tiny["recipe.yaml"], "name: small-groups\nsteps:\n  - roundToNearest: { bits: 4, groupSize: 16 }\n");
        string[] command = ["compress", tiny.Model, "--recipe", tiny["recipe.yaml"], "-o", tiny["out.gguf"]];
        Assert.Contains("--allow-requantize", CommandLine.Run([.. command, "--quiet"]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.DoesNotContain("out.gguf", tiny.Others);
        Outcome allowed = CommandLine.Run([.. command, "--allow-requantize"]);
        Assert.Equal(0, allowed.Code);
        foreach (string name in new[] { "attn_q", "ffn_up" })
            Assert.Contains($"rounded again: blk.0.{name}.weight, int4-g16 to F16", allowed.Error, StringComparison.Ordinal);
        Assert.Equal(["out.gguf", "recipe.yaml"], tiny.Others.Order());
    }

    [Fact]
    public void Gguf_blocks_in_a_folder_are_refused_before_any_work()
    {
        Assert.Contains("NAME.gguf", CommandLine.Run("compress", tiny.Model, "--to", "q8_0", "-o", tiny["out"]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Empty(tiny.Others);
    }

    [Theory]
    [InlineData("--max-size", "1KB", "--max-size 1,000")]
    [InlineData("--max-kl", "0", "--max-kl 0")]
    public void A_missed_gate_is_one_line_and_exit_code_3_and_writes_nothing(string gate, string limit, string told)
    {
        Outcome outcome = CommandLine.Run("compress", tiny.Model, "--to", "int4", "-o", tiny["out"], gate, limit, "--measure", tiny.Text, "--documents", "line", "--quiet");
        string line = outcome.FailsInOneLine(3);
        Assert.Contains(told, line, StringComparison.Ordinal);
        Assert.Contains("was not written", line, StringComparison.Ordinal);
        Assert.Empty(tiny.Others);
    }

    [Fact]
    public void Gates_that_hold_let_the_output_through_and_report_what_was_measured()
    {
        JsonElement json = CommandLine.Json("compress", tiny.Model, "--to", "int8", "-o", tiny["out"], "--max-size", "12MB", "--max-kl", "0.5", "--measure", tiny.Text, "--documents", "line");
        double kl = json.GetProperty("scores").EnumerateArray().Single(score => score.GetProperty("metric").GetString() == "kl").GetProperty("value").GetDouble();
        // The gate's figure is that of eval on the written files.
        JsonElement eval = CommandLine.Json("eval", tiny["out"], "--base", tiny.Model, "--data", tiny.Text, "--documents", "line", "--speed-tokens", "0");
        Assert.Equal(kl, eval.GetProperty("comparison").GetProperty("scores")[0].GetProperty("value").GetDouble());
        Assert.InRange(kl, 1e-12, 0.5);
    }

    [Fact]
    public void A_folder_that_we_wrote_is_replaced()
    {
        CommandLine.Json("compress", tiny.Model, "--to", "int8", "-o", tiny["out"]);
        CommandLine.Json("compress", tiny.Model, "--to", "int4", "-o", tiny["out"]);
        Assert.StartsWith("int4", ((FeedForward)LanguageModel.Load(tiny["out"]).Model.Blocks[0].FeedForward).Up.Weight.Kind, StringComparison.Ordinal);
        Assert.Equal(["out"], tiny.Others);
    }
}
