using Coppice.Models;

namespace Coppice.Tests.Cli;

[Collection(CommandLine.Collection)]
public sealed class TrainTests : IDisposable
{
    readonly TinyFolder tiny = new();

    public void Dispose() => tiny.Dispose();

    Outcome Train(string model, string output, params string[] more) => CommandLine.Run(
        ["train", model, "--data", tiny.Text, "--documents", "line", "--steps", "4", "--batch", "2", "--context", "16", "--warmup", "1", "-o", tiny[output], .. more]);

    static Dictionary<string, bool[]> Zeros(string folder) => LanguageModel.Load(folder).Model.Matrices().ToDictionary(part => part.Name, part => Array.ConvertAll(part.Layer.Weight.ToDense(), value => value == 0));

    [Theory]
    [InlineData("sparsity: 0.5", "sparse-f16")]
    [InlineData("pattern: \"2:4\"", "2:4-f16")]
    public void A_pruned_folder_keeps_its_zeros_and_its_layout(string options, string kind)
    {
        File.WriteAllText(tiny["prune.yaml"], $"steps:\n  - magnitude: {{ {options} }}\n");
        CommandLine.Json("compress", tiny.Model, "--recipe", tiny["prune.yaml"], "-o", tiny["pruned"]);
        Outcome outcome = Train(tiny["pruned"], "trained");
        Assert.Equal(0, outcome.Code);
        Assert.Contains("pruned: 14 matrices, 50.0 % of them zeros, which stay 0", outcome.Error, StringComparison.Ordinal);
        Dictionary<string, bool[]> before = Zeros(tiny["pruned"]), after = Zeros(tiny["trained"]);
        Assert.All(before, part => Assert.All(part.Value.Zip(after[part.Key]), zero => Assert.True(!zero.First || zero.Second)));
        Assert.Equal(14, LanguageModel.Load(tiny["trained"]).Model.Matrices().Count(part => part.Layer.Weight.Kind == kind));
        Assert.Equal(0, Train(tiny["pruned"], "free", "--zeros", "train").Code);
        Assert.All(LanguageModel.Load(tiny["free"]).Model.Matrices(), part => Assert.True(part.Layer.Weight.Sparsity() < 0.01));
    }

    [Fact]
    public void Lora_writes_a_merged_model_and_the_adapters_alone()
    {
        Outcome outcome = Train(tiny.Model, "merged", "--lora", "2", "--lora-targets", "*.q_proj", "*.v_proj", "--adapter", tiny["adapter"]);
        Assert.Equal(0, outcome.Code);
        Assert.Contains("lora: 4 matrices, 896 parameters train", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("lora: merged into 4 matrices, now of floats\n", outcome.Error, StringComparison.Ordinal);
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors"], Directory.EnumerateFiles(tiny["adapter"]).Select(Path.GetFileName).Where(name => name != ".coppice").Order());
        Dictionary<string, MatrixLayer> before = tiny.Language.Model.Matrices().ToDictionary(), after = LanguageModel.Load(tiny["merged"]).Model.Matrices().ToDictionary();
        foreach ((string name, MatrixLayer layer) in before)
        {
            double change = layer.Weight.ToDense().Zip(after[name].Weight.ToDense(), (a, b) => Math.Abs(a - b)).Max();
            Assert.True(name.EndsWith("q_proj", StringComparison.Ordinal) || name.EndsWith("v_proj", StringComparison.Ordinal) ? change > 1e-4 : change < 1e-4, $"{name} changed by {change}");
        }
    }

    [Fact]
    public void Lora_on_a_pruned_quantized_folder_says_what_the_merge_keeps()
    {
        CommandLine.Json("compress", tiny.Model, "--to", "2:4-int4", "--calibrate", tiny.Text, "--documents", "line", "-o", tiny["small"]);
        CommandLine.Json("compress", tiny.Model, "--to", "sparse50", "--calibrate", tiny.Text, "--documents", "line", "-o", tiny["pruned"]);
        Assert.Contains("now of floats\n", Train(tiny["small"], "dense", "--lora", "2").Error, StringComparison.Ordinal);
        Assert.Contains("14 are pruned and kept their zeros", Train(tiny["pruned"], "kept", "--lora", "2").Error, StringComparison.Ordinal);
        Assert.Equal(14, LanguageModel.Load(tiny["kept"]).Model.Matrices().Count(part => part.Layer.Weight.Kind == "sparse-f16"));
    }

    [Fact]
    public void A_teacher_of_the_same_tokens_takes_part_and_another_is_refused()
    {
        Assert.Equal(0, Train(tiny.Model, "taught", "--teacher", tiny.Model, "--soft", "0.9", "--temperature", "1.5").Code);
        Assert.NotEqual(TinyFolder.Bytes(tiny["taught"])["model.safetensors"], Train(tiny.Model, "alone").Code == 0 ? TinyFolder.Bytes(tiny["alone"])["model.safetensors"] : "");
        Assert.Contains("another tokenizer", Train(tiny.Model, "out", "--teacher", "grove", "--quiet").FailsInOneLine(1), StringComparison.Ordinal);
        Assert.Contains("soft share is 2", Train(tiny.Model, "out", "--soft", "2", "--quiet").FailsInOneLine(1), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gradual")]
    [InlineData("movement")]
    [InlineData("rigl")]
    [InlineData("l1")]
    [InlineData("rows")]
    [InlineData("columns")]
    [InlineData("rounds", "--rounds", "2", "--rewind", "0")]
    public void A_run_that_prunes_ends_at_the_sparsity_asked_for(string method, params string[] more)
    {
        Outcome outcome = Train(tiny.Model, "out", ["--prune", method, "--sparsity", "0.75", "--prune-every", "1", .. more]);
        Assert.Equal(0, outcome.Code);
        Assert.Contains($"pruning: {method}, until 75 % of each matrix is 0", outcome.Error, StringComparison.Ordinal);
        foreach ((string name, MatrixLayer layer) in LanguageModel.Load(tiny["out"]).Model.Matrices())
            Assert.Equal(name.Contains("_proj", StringComparison.Ordinal) ? 0.75 : 0, layer.Weight.Sparsity(), 1e-3);
    }

    [Fact]
    public void Pruning_options_without_a_method_are_misuse() =>
        Assert.Contains("--prune", Train(tiny.Model, "out", "--sparsity", "0.5").FailsInOneLine(2), StringComparison.Ordinal);

    [Fact]
    public void Lora_options_without_what_they_need_are_misuse()
    {
        Assert.Contains("no MODEL", CommandLine.Run("train", "--data", tiny.Text, "--lora", "4", "-o", tiny["out"]).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("--lora", Train(tiny.Model, "out", "--adapter", tiny["adapter"]).FailsInOneLine(2), StringComparison.Ordinal);
        Assert.Contains("--adapter is the output itself", Train(tiny.Model, "out", "--lora", "2", "--adapter", tiny["out"]).FailsInOneLine(2), StringComparison.Ordinal);
    }
}
