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
}
