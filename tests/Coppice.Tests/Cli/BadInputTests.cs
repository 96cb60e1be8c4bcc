using System.Buffers.Binary;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Text;

namespace Coppice.Tests.Cli;

/// <summary>Files and machines that are not as they should be: one line that says what and where, and nothing half-written.</summary>
[Collection(CommandLine.Collection)]
public sealed class BadInputTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    string WeightsFile => Path.Combine(tiny.Model, "model.safetensors");

    // Every command that reads a model, inspect its numbers, fails alike, and writes nothing.
    void EveryCommandFails(string model, params string[] told)
    {
        string[][] commands =
        [
            ["inspect", model, "--zeros"], ["eval", model, "--data", tiny.Text, "--documents", "line"], ["run", model, "--prompt", "the cat"],
            ["compress", model, "--to", "int8", "-o", tiny["out"], "--quiet"],
        ];
        string[] others = [.. tiny.Others];
        foreach (string[] command in commands)
        {
            string line = CommandLine.Run(command).FailsInOneLine(1);
            Assert.All(told, part => Assert.Contains(part, line, StringComparison.Ordinal));
        }
        Assert.Equal(others, tiny.Others);
    }

    [Fact]
    public void A_truncated_safetensors_is_told_with_file_and_tensor()
    {
        byte[] file = File.ReadAllBytes(WeightsFile);
        File.WriteAllBytes(WeightsFile, file[..(file.Length / 2)]);
        EveryCommandFails(tiny.Model, "model.safetensors");
    }

    [Fact]
    public void A_header_that_claims_2_to_the_60_bytes_is_told_and_takes_no_memory()
    {
        byte[] file = File.ReadAllBytes(WeightsFile);
        BinaryPrimitives.WriteUInt64LittleEndian(file, 1UL << 60);
        File.WriteAllBytes(WeightsFile, file);
        EveryCommandFails(tiny.Model, "model.safetensors");
    }

    [Fact]
    public void A_tokenizer_of_another_model_is_told()
    {
        Tokenizer larger = BpeTrainer.Train(File.ReadLines(tiny.Text).Append("zebra quagga xylophone jukebox wolf fjord vexing"), new BpeTraining { VocabularySize = 320 });
        larger.Save(tiny.Model);
        EveryCommandFails(tiny.Model, "do not belong together");
    }

    [Fact]
    public void Weights_that_are_not_numbers_are_told_with_their_place()
    {
        // No writer of ours lets such a number through: a number that stands nowhere else is overwritten in the file.
        const float mark = 12345;
        string model = tiny.Changed("nan", llama => TinyFolder.Values(((FeedForward)llama.Blocks[1].FeedForward).Gate!)[70] = mark), weights = Path.Combine(model, "model.safetensors");
        byte[] bytes = File.ReadAllBytes(weights);
        BitConverter.TryWriteBytes(bytes.AsSpan(bytes.AsSpan().IndexOf(BitConverter.GetBytes(mark))), float.NaN);
        File.WriteAllBytes(weights, bytes);
        EveryCommandFails(model, "model.layers.1.mlp.gate_proj.weight", "not finite");
    }

    [Fact]
    public void An_unknown_recipe_key_is_told_with_its_line_and_the_nearest_known_one()
    {
        File.WriteAllText(tiny["recipe.yaml"], "name: mine\nsteps:\n  - wanda: { sparsty: 0.5 }\n");
        string line = CommandLine.Run("compress", tiny.Model, "--recipe", tiny["recipe.yaml"], "-o", tiny["out"]).FailsInOneLine(1);
        Assert.Contains("recipe.yaml:3: step 'wanda' has no option 'sparsty'; the nearest is 'sparsity'", line, StringComparison.Ordinal);
        Assert.Equal(["recipe.yaml"], tiny.Others);
    }

    [Fact]
    public void A_preset_that_there_is_not_is_told()
    {
        Assert.Contains("unknown preset 'int5'; the nearest is", CommandLine.Run("compress", tiny.Model, "--to", "int5", "-o", tiny["out"]).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Empty(tiny.Others);
    }

    [Fact]
    public void A_missing_documentation_folder_of_the_SDK_is_told()
    {
        Directory.CreateDirectory(tiny["sdk"]);
        string[][] commands =
        [
            ["eval", tiny.Model, "--data", "sdk:test"], ["train", "--data", "sdk", "-o", tiny["out"]],
            ["compress", tiny.Model, "--to", "int4-gptq", "--calibrate", "sdk:train", "-o", tiny["out"]],
        ];
        foreach (string[] command in commands)
        {
            string line = CommandLine.Run([.. command, "--sdk", tiny["sdk"]]).FailsInOneLine(1);
            Assert.Contains("No .NET SDK documentation", line, StringComparison.Ordinal);
            Assert.Contains(tiny["sdk"], line, StringComparison.Ordinal);
        }
        Assert.Equal(["sdk"], tiny.Others);
    }

    [Fact]
    public void A_folder_that_somebody_else_filled_is_left_alone()
    {
        Directory.CreateDirectory(tiny["out"]);
        File.WriteAllText(Path.Combine(tiny["out"], "thesis.txt"), "years of work");
        foreach (string[] command in new string[][] { ["compress", tiny.Model, "--to", "int8"], ["train", "--data", tiny.Text] })
            Assert.Contains("not written by Coppice", CommandLine.Run([.. command, "-o", tiny["out"]]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Equal("years of work", File.ReadAllText(Path.Combine(tiny["out"], "thesis.txt")));
        Assert.Equal(["out"], tiny.Others);
    }

    [SmallDiskFact]
    public void A_full_disk_is_told_and_no_part_of_an_output_stays()
    {
        using SmallDisk disk = SmallDisk.Mount(tiny["disk"], kilobytes: 48)!;
        foreach (string name in new[] { "out", "out.gguf" })
        {
            string line = CommandLine.Run("compress", tiny.Model, "--to", "int8", "--allow-requantize", "-o", Path.Combine(disk.Path, name), "--quiet").FailsInOneLine(1);
            Assert.Contains(disk.Path, line, StringComparison.Ordinal);
            Assert.Contains("No space left", line, StringComparison.Ordinal);
            Assert.DoesNotContain(Directory.EnumerateFileSystemEntries(disk.Path), path => Path.GetFileName(path) == name || path.EndsWith(".partial", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void A_failure_in_a_process_of_its_own_is_the_same_one_line()
    {
        File.WriteAllBytes(WeightsFile, File.ReadAllBytes(WeightsFile)[..100]);
        Assert.Contains("model.safetensors", CommandLine.RunProcess(["inspect", tiny.Model]).FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("COPPICE_SIMD is 'wide'", CommandLine.RunProcess(["inspect", tiny.Model], ("COPPICE_SIMD", "wide")).FailsInOneLine(2), StringComparison.Ordinal);
        Outcome verbose = CommandLine.RunProcess(["inspect", tiny.Model, "--verbose"]);
        Assert.Equal(1, verbose.Code);
        Assert.Contains("   at Coppice.", verbose.Error, StringComparison.Ordinal);
    }
}
